// Package folder makes data sets of a user's own images. The images are in a folder with one
// folder per class, as for torchvision's ImageFolder; or in folders such as train/ and val/
// that contain the folders of the classes; or in a CSV or JSON Lines list of paths and labels.
//
// Open returns the training set and the test set:
//
//	train, test, err := folder.Open(ctx, "photos", folder.Options{Size: 224})
//
// Programs that report more to a user call the steps of Open themselves. Scan returns an
// Index of the files; Index.Check reads all images and reports those that are broken or
// near-duplicates; Index.Holdout chooses test images if the user has not; and Index.Set
// returns a Set, which is a data.Dataset. An ImageCache stores decoded images on disk, so that
// later epochs and runs need not decode the files again.
package folder

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/lines"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Item is one image of an index.
type Item struct {
	Path  string     // the path to open
	Name  string     // the path below the root of the index, with slashes, or Path for a file elsewhere
	Label int        // an index into Index.Classes
	Split data.Split // data.Train, unless a folder, a list or Holdout says data.Test
	Mark  Mark       // the mark of the file when Check read it
}

// Index lists the images of a data set, sorted by class and name, without reading them.
type Index struct {
	Root    string // the folder, or the folder of the list
	Name    string // the last element of the path
	Classes []string
	Items   []Item
	// Targets describes the labels or values of the images of a list that ScanTargets read.
	// Classes then lists the different targets of the images, as a record writes them.
	Targets task.Targets
	// Tested reports whether the user chose the test images.
	Tested bool
	// Others lists the files in the folders whose names are not those of images.
	Others []string
	// Layout lists the folders that were taken as splits, and unused folders beside them.
	Layout []Part
	// Notes are sentences about things that the user may have meant differently.
	Notes []string

	list    string   // the path of the list that the index was read from; empty for a folder
	columns *Columns // the columns of labels or values of the list; nil for classes
}

func newIndex(root string) *Index {
	x := &Index{Root: root, Name: filepath.Base(root)}
	if abs, err := filepath.Abs(root); err == nil {
		x.Name = filepath.Base(abs)
	}
	return x
}

// note adds a note for the user.
func (x *Index) note(format string, a ...any) { x.Notes = append(x.Notes, fmt.Sprintf(format, a...)) }

// similar adds notes about classes whose names differ only in case and spaces.
func (x *Index) similar() {
	for _, names := range lines.Alike(x.Classes) {
		x.note("%s are different classes, whose names differ only in case or spaces; if they are the same class, give them the same name", quoted(names))
	}
}

func (x *Index) count(split data.Split) (n int) {
	for _, it := range x.Items {
		if it.Split == split {
			n++
		}
	}
	return n
}

// Counts returns how many images each class has in a split.
func (x *Index) Counts(split data.Split) []int {
	counts := make([]int, len(x.Classes))
	for _, it := range x.Items {
		if it.Split == split {
			counts[it.Label]++
		}
	}
	return counts
}

// Part is a folder that was taken as a split, or an unused folder beside such ones. For a list
// it stands for the lines with one split.
type Part struct {
	Name    string     `json:"name"`
	Split   data.Split `json:"split,omitempty"` // empty when its images are not used
	Images  int        `json:"images"`
	Classes int        `json:"classes"` // the number of folders inside that can be classes; 0 for a list
}

// Path returns the path that the index was scanned from: its list or its folder.
func (x *Index) Path() string {
	if x.list != "" {
		return x.list
	}
	return x.Root
}

// Ordered returns the index with its classes in another order, such as that of a trained
// model. It panics when classes are not the classes of the index.
func (x *Index) Ordered(classes []string) *Index {
	o := *x
	o.Classes, o.Items = slices.Clone(classes), slices.Clone(x.Items)
	for i := range o.Items {
		label := slices.Index(classes, x.Classes[o.Items[i].Label])
		if label < 0 || len(classes) != len(x.Classes) {
			panic(tensor.Misusef("folder.Ordered: classes %q for those of %s, %q", classes, x.Root, x.Classes))
		}
		o.Items[i].Label = label
	}
	return &o
}

// Columns says which columns of a list hold the targets of its images.
//
// Each value has a column of numbers. Each label has a column of 1 for the images that have
// it and 0 for the others; or one column, such as labels or tags, holds the names of all
// labels of an image, separated by |. In JSON Lines the columns are keys, and the names of
// labels may be an array.
type Columns struct {
	Task  task.Task // task.Labels or task.Values
	Names []string  // the columns; nil means all except those of the path and the split

	// Known, when not nil, lists the labels or values of a trained model. A list must have a
	// column for each of them, or name no other label.
	Known []string
}

// targeted reports whether the images have labels or values in place of classes.
func (x *Index) targeted() bool { return x.Targets.Task.Named() != task.Classes }

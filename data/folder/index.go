// Package folder makes data sets of a user's own images: a folder with one folder a class,
// the same in folders for the parts, such as train/ and val/, or a list of paths and labels
// in CSV or JSON lines.
//
// Open returns the training part and the test part:
//
//	train, test, err := folder.Open(ctx, "photos", folder.Options{Size: 224})
//
// To tell the user more, take the steps one by one: Scan returns an Index of the files,
// Index.Check reads them all and reports what is broken, alike or turned, Index.Holdout
// chooses the images to test on where the user has not, and Index.Set returns a Set, which
// is a data.Dataset. An ImageCache keeps decoded images on the disk, so that later epochs
// and runs need not decode the files again.
package folder

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/lines"
	"github.com/residual-ml/residual/tensor"
)

// Item is an image of an index.
type Item struct {
	Path  string     // as it can be opened
	Name  string     // below the index's root, with slashes; its Path when it lies elsewhere
	Label int        // of Index.Classes
	Split data.Split // data.Train, unless a folder, a list or Holdout says data.Test
	Mark  Mark       // of the file as Check read it
}

// Index lists the images of a data set, by class and name, before any is read.
type Index struct {
	Root    string // the folder, or that of the list
	Name    string // its last part
	Classes []string
	Items   []Item
	// Tested says that the user chose the images to test on.
	Tested bool
	// Others names what lies in the folders and is no image by its name.
	Others []string
	// Layout has the folders that stand for parts, and what lies beside them and is not used.
	Layout []Part
	// Notes are sentences about what a user may have meant otherwise.
	Notes []string

	list string // the list it was read from; empty for a folder
}

func newIndex(root string) *Index {
	x := &Index{Root: root, Name: filepath.Base(root)}
	if abs, err := filepath.Abs(root); err == nil {
		x.Name = filepath.Base(abs)
	}
	return x
}

// note says something to the user.
func (x *Index) note(format string, a ...any) { x.Notes = append(x.Notes, fmt.Sprintf(format, a...)) }

// similar tells of classes whose names differ in case and spaces alone.
func (x *Index) similar() {
	for _, names := range lines.Alike(x.Classes) {
		x.note("%s are different classes, whose names differ in case or spaces alone; if they are one, give them one name", quoted(names))
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

// Counts returns how many images each class has in a part.
func (x *Index) Counts(split data.Split) []int {
	counts := make([]int, len(x.Classes))
	for _, it := range x.Items {
		if it.Split == split {
			counts[it.Label]++
		}
	}
	return counts
}

// Part is a folder that stands for a part of a data set, or that stands beside such
// folders; or the lines of a list that it gives one part.
type Part struct {
	Name    string     `json:"name"`
	Split   data.Split `json:"split,omitempty"` // empty: its images are not used
	Images  int        `json:"images"`
	Classes int        `json:"classes"` // folders inside that can be classes; of a list 0
}

// Path is what the index was scanned from: its list, or its folder.
func (x *Index) Path() string {
	if x.list != "" {
		return x.list
	}
	return x.Root
}

// Ordered returns the index with its classes in another order, such as a trained
// model's. It panics when they are others.
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

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
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/lines"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/nearest"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/task"
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
	// Targets describes the labels or values of the images of a list: see ScanTargets. Classes
	// then holds the targets of every image, as a record writes them, each once.
	Targets task.Targets
	// Tested says that the user chose the images to test on.
	Tested bool
	// Others names what lies in the folders and is no image by its name.
	Others []string
	// Layout has the folders that stand for parts, and what lies beside them and is not used.
	Layout []Part
	// Notes are sentences about what a user may have meant otherwise.
	Notes []string

	list    string   // the list it was read from; empty for a folder
	columns *Columns // of the list, for labels or values
}

// IsPath tells what a user names as data: true for a folder or a file, false
// for the name of a data set. A name counts before a folder that is called the same,
// which is named with a slash: ./garments.
func IsPath(name string) bool {
	if strings.ContainsRune(name, '/') || strings.ContainsRune(name, filepath.Separator) || endsAsList(name) {
		return true
	}
	if slices.ContainsFunc(data.Names(), func(s data.SourceInfo) bool { return s.Name == name }) {
		return false
	}
	_, err := os.Stat(name)
	return err == nil // what is no list is said when it is read
}

// IsList reports whether a path is a list of images and no folder: it is a file or, where
// nothing is there, has the ending of one: .csv, .jsonl or .ndjson.
func IsList(path string) bool {
	if st, err := os.Stat(path); err == nil {
		return !st.IsDir()
	}
	return endsAsList(path)
}

func endsAsList(name string) bool {
	return slices.Contains([]string{".csv", ".jsonl", ".ndjson"}, strings.ToLower(filepath.Ext(name)))
}

// Scan lists the images of a folder, or of a list when path is a file: a CSV table or JSON
// lines, which its content tells.
// A folder holds one folder a class, at any depth below which are its images, or
// folders for the parts with such folders each: one to train on, and one to validate or
// to test on, by their names (train, Training_set, seg_train, val, dev, Test, holdout and
// the like). Where there are both, the part to validate on is data.Test, and that to test
// on is not used. What is called like a part and has no folders of classes is a class.
// Index.Layout says what was taken as what. Classes are sorted by name (lines.Name),
// bytewise, as torchvision's ImageFolder does; names that begin with a dot are passed over.
func Scan(path string) (*Index, error) {
	x, err := scan(path, nil)
	if err != nil {
		return nil, err
	}
	return x, x.check()
}

// ScanAs is Scan for classes that are settled, those of a trained model: labels count
// into them by name. Of a folder some may be missing, and so may a part; a class that is
// not among them is an error.
func ScanAs(path string, classes []string) (*Index, error) {
	x, err := scan(path, classes)
	if err == nil && len(x.Items) == 0 {
		err = fmt.Errorf("images: none is in %s; put JPEG, PNG, GIF, WebP, BMP or TIFF files there, one folder a class", path)
	}
	return x, err
}

// scan lists images; of settled classes known names them.
func scan(path string, known []string) (*Index, error) { return scanBy(path, known, nil) }

// scanBy is scan for a list with these columns of labels or values; nil for classes.
func scanBy(path string, known []string, c *Columns) (*Index, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("images: %w; name a folder with one folder a class, or a .csv or .jsonl list", err)
	}
	switch {
	case st.IsDir() && c != nil:
		return nil, field.Errorf("images: %s is a folder, whose folders are classes; for the %s of images give a .csv or .jsonl list with a column for each ({Data})", path, c.Task)
	case st.IsDir():
		return scanFolder(path, known)
	}
	if err := regular.Check(path, st); err != nil {
		return nil, fmt.Errorf("images: %w; name a folder, or a file that is a .csv or .jsonl list", err)
	}
	return scanList(path, known, c)
}

func newIndex(root string) *Index {
	x := &Index{Root: root, Name: filepath.Base(root)}
	if abs, err := filepath.Abs(root); err == nil {
		x.Name = filepath.Base(abs)
	}
	return x
}

func scanFolder(root string, known []string) (*Index, error) {
	x := newIndex(root)
	x.Classes = known
	folders, err := foldersOf(root)
	if err != nil {
		return nil, err
	}
	l, err := layoutOf(root, folders, known)
	if err != nil {
		return nil, err
	}
	switch {
	case l.train != nil:
		err = x.addPart(*l.train, data.Train, known == nil)
	case l.test == nil || len(l.classes) > 0:
		if err = x.addFolders(root, l.classes, data.Train, known == nil); err == nil && l.test == nil {
			x.divideInside()
			x.asClasses(l.classes)
		}
	}
	if err == nil && l.test != nil {
		x.Tested = true
		err = x.addPart(*l.test, data.Test, false)
	}
	if err != nil {
		return nil, err
	}
	for _, c := range l.unused {
		if err := c.look(); err != nil {
			return nil, err
		}
		x.Layout = append(x.Layout, Part{Name: c.name, Images: countImages(filepath.Join(root, c.name), 0), Classes: len(c.classes)})
	}
	if n := loose(root); n > 0 && len(folders) > 0 {
		x.note("images in %s itself, beside the folders, are not used: %d", root, n)
	}
	return x, nil
}

// note says something to the user.
func (x *Index) note(format string, a ...any) { x.Notes = append(x.Notes, fmt.Sprintf(format, a...)) }

// asClasses says which folders are classes though they are called like parts.
func (x *Index) asClasses(folders []string) {
	for _, name := range folders {
		if kind, stem := partName(name); kind != noPart && stem == "" {
			x.note("%q is taken as a class, as it has no folders of the other classes inside; if it is a part of the data set, put it elsewhere", name)
		}
	}
}

// addPart adds the images of a part, whose folders are classes.
func (x *Index) addPart(c candidate, split data.Split, first bool) error {
	if split == data.Test && x.Classes != nil && x.count(data.Train) > 0 {
		for _, name := range c.classes {
			if labelOf(x.Classes, name) < 0 {
				return fmt.Errorf("images: %s has a class %q that the training part has not, whose classes are %s; %sthe folders must have the same names",
					c.inside, name, firstFew(x.Classes), nearest.Aside(name, x.Classes, `""`))
			}
		}
	}
	before := len(x.Items)
	if err := x.addFolders(c.inside, c.classes, split, first); err != nil {
		return err
	}
	x.Layout = append(x.Layout, Part{Name: c.name, Split: split, Images: len(x.Items) - before, Classes: len(c.classes)})
	if n := loose(c.inside); n > 0 {
		x.note("images in %s itself, beside the folders of the classes, are not used: %d", c.inside, n)
	}
	return nil
}

// firstFew names the first of many classes.
func firstFew(classes []string) string {
	const most = 20
	if more := len(classes) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(classes[:most], ", "), more)
	}
	return strings.Join(classes, ", ")
}

// addFolders adds the images of the folders in dir, which are classes: those of the
// index, or first to be made so. Folders whose names are the same, as lines.Name has them,
// are one class.
func (x *Index) addFolders(dir string, folders []string, split data.Split, first bool) error {
	same := map[string][]string{} // folders of a class
	for _, name := range folders {
		class, err := lines.ClassName(name)
		if err == nil && class == "" {
			err = errors.New("it has no letters")
		}
		if err != nil {
			return fmt.Errorf("images: the folder %q in %s cannot give a class its name; rename it in UTF-8", name, dir)
		}
		same[class] = append(same[class], name)
	}
	if first {
		x.Classes = slices.Sorted(maps.Keys(same))
		x.similar()
	}
	for _, class := range slices.Sorted(maps.Keys(same)) {
		label := labelOf(x.Classes, class)
		if label < 0 {
			return fmt.Errorf("images: %s has a class %q, which the model does not know; %sit knows %s. Rename the folder or take it away",
				dir, class, nearest.Aside(class, x.Classes, `""`), firstFew(x.Classes))
		}
		if err := x.addClass(dir, same[class], label, split, first); err != nil {
			return err
		}
		if len(same[class]) > 1 {
			x.note("the folders %s in %s are one class, %q: their names differ in spaces, or in how their letters are composed", ascii(same[class]), dir, class)
		}
	}
	return nil
}

// ascii lists names that look the same so that they do not.
func ascii(names []string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = strconv.QuoteToASCII(name)
	}
	return strings.Join(parts, " and ")
}

// similar tells of classes whose names differ in case and spaces alone.
func (x *Index) similar() {
	for _, names := range lines.Alike(x.Classes) {
		x.note("%s are different classes, whose names differ in case or spaces alone; if they are one, give them one name", quoted(names))
	}
}

// foldersOf lists the folders in dir, sorted, links to folders among them.
func foldersOf(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	var names []string
	for _, e := range entries {
		if hidden(e.Name()) || !e.IsDir() && e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		if st, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && st.IsDir() {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") || name == "__MACOSX" }

// addClass adds the images of a class's folders in dir; there must be some if all says so.
func (x *Index) addClass(dir string, folders []string, label int, split data.Split, all bool) error {
	before, others := len(x.Items), len(x.Others)
	for _, name := range folders {
		if err := x.addTree(dir, name, label, split); err != nil {
			return fmt.Errorf("images: %w", err)
		}
	}
	if all && len(x.Items) == before {
		there := ""
		if names := x.Others[others:]; len(names) > 0 {
			there = " (" + Kinds(names) + ")"
		}
		return fmt.Errorf("images: no image of class %q is in %s%s; put JPEG, PNG, GIF, WebP, BMP or TIFF files there or remove the folder",
			x.Classes[label], filepath.Join(dir, folders[0]), there)
	}
	return nil
}

// addTree adds the images below a folder in dir.
func (x *Index) addTree(dir, folder string, label int, split data.Split) error {
	// WalkDir does not follow a link, not even at its root.
	top, err := filepath.EvalSymlinks(filepath.Join(dir, folder))
	if err != nil {
		return err
	}
	return filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		if hidden(e.Name()) && inside != "." {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			return nil
		}
		at := filepath.Join(dir, folder, inside)
		name := at
		if rel, err := filepath.Rel(x.Root, at); err == nil {
			name = filepath.ToSlash(rel)
		}
		if !photo.Named(path) {
			x.Others = append(x.Others, name)
			return nil
		}
		x.Items = append(x.Items, Item{Path: at, Name: name, Label: label, Split: split})
		return nil
	})
}

// check reports what no training can begin with.
func (x *Index) check() error {
	if len(x.Classes) < 2 && !x.targeted() {
		return x.tooFew()
	}
	if x.targeted() && len(x.Targets.Names) == 0 {
		return fmt.Errorf("images: no image of %s has a label", x.list)
	}
	if x.Tested && x.count(data.Test) == 0 {
		return fmt.Errorf("images: none of %s is to be tested on; fill that part or leave it out", x.Root)
	}
	if x.count(data.Train) == 0 {
		return errors.New("images: none of " + x.Root + " is to be trained on")
	}
	return nil
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

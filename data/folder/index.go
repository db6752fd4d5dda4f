// Package folder makes data sets of a user's own pictures: a folder with one folder a
// class, the same under train/ and val/, or a list of paths and labels in CSV or JSON
// lines.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/photo"
)

// Item is a picture of an index.
type Item struct {
	Path  string     // as it can be opened
	Name  string     // below the index's root, with slashes; its Path when it lies elsewhere
	Label int        // of Index.Classes
	Split data.Split // data.Train, unless a folder, a list or Holdout says data.Test
	Mark  Mark       // of the file as Check read it
}

// Index lists the pictures of a data set, by class and name, before any is read.
type Index struct {
	Root    string // the folder, or that of the list
	Name    string // its last part
	Classes []string
	Items   []Item
	// Tested says that the user chose the pictures to test on.
	Tested bool
	// Others names what lies in the folders and is no picture by its name.
	Others []string
	// Beside names folders beside train and the one to test on, which are passed over.
	Beside []string

	list string // the list it was read from; empty for a folder
}

// IsPath tells what a user names as data: true for a folder or a file, false
// for the name of a data set. A name counts before a folder that is called the same,
// which is named with a slash: ./garments.
func IsPath(name string) bool {
	if strings.ContainsRune(name, '/') || strings.ContainsRune(name, filepath.Separator) || IsList(name) {
		return true
	}
	if slices.ContainsFunc(data.Names(), func(s data.SourceInfo) bool { return s.Name == name }) {
		return false
	}
	_, err := os.Stat(name)
	return err == nil // what is no list is said when it is read
}

// IsList tells by a file's name whether it is a list of pictures: .csv, .jsonl or .ndjson.
func IsList(name string) bool {
	return slices.Contains([]string{".csv", ".jsonl", ".ndjson"}, strings.ToLower(filepath.Ext(name)))
}

// testFolders are the names of a folder to test on, the first that is there counts.
var testFolders = []string{"val", "valid", "validation", "test"}

// Scan lists the pictures of a folder, or of a list when path is a .csv or .jsonl file.
// A folder holds one folder a class, at any depth below which are its pictures, or
// train and one of val, valid, validation and test with such folders each. Classes are
// sorted by name, bytewise, as torchvision's ImageFolder does; names that begin with a
// dot are passed over.
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
		err = fmt.Errorf("pictures: none is in %s; put JPEG, PNG, GIF, WebP, BMP or TIFF files there, one folder a class", path)
	}
	return x, err
}

// scan lists pictures; of settled classes known names them.
func scan(path string, known []string) (*Index, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("pictures: %w; name a folder with one folder a class, or a .csv or .jsonl list", err)
	}
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case st.IsDir():
		return scanFolder(path, known)
	case ext == ".csv":
		return scanList(path, known, readCSV)
	case ext == ".jsonl" || ext == ".ndjson":
		return scanList(path, known, readJSONLines)
	}
	return nil, fmt.Errorf("pictures: %s is neither a folder nor a .csv or .jsonl list", path)
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
	part := func(name string) bool { return slices.Contains(folders, name) && !slices.Contains(known, name) }
	tests := slices.IndexFunc(testFolders, part)
	if !part("train") && (known == nil || tests < 0) {
		return x, x.addFolders(root, folders, data.Train, known == nil)
	}
	if part("train") {
		dir := filepath.Join(root, "train")
		classes, err := foldersOf(dir)
		if err != nil {
			return nil, err
		}
		if err := x.addFolders(dir, classes, data.Train, known == nil); err != nil {
			return nil, err
		}
	}
	if tests < 0 {
		return x, nil
	}
	if part("train") {
		for _, name := range folders {
			if name != "train" && name != testFolders[tests] {
				x.Beside = append(x.Beside, name)
			}
		}
	}
	dir := filepath.Join(root, testFolders[tests])
	classes, err := foldersOf(dir)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(classes, func(c string) bool { return !slices.Contains(x.Classes, c) }); i >= 0 && known == nil {
		return nil, fmt.Errorf("pictures: %s has a class %q that %s has not; the folders must have the same names",
			dir, classes[i], filepath.Join(root, "train"))
	}
	x.Tested = true
	return x, x.addFolders(dir, classes, data.Test, false)
}

// addFolders adds the pictures of the folders in dir, which are classes: those of the
// index, or first to be made so.
func (x *Index) addFolders(dir string, folders []string, split data.Split, first bool) error {
	if first {
		x.Classes = folders
	}
	for _, c := range folders {
		if !slices.Contains(x.Classes, c) {
			return fmt.Errorf("pictures: %s has a class %q, which the model does not know; it knows %s. Rename the folder or take it away",
				dir, c, strings.Join(x.Classes, ", "))
		}
	}
	return x.addClasses(dir, folders, split, first)
}

// foldersOf lists the folders in dir, sorted, links to folders among them.
func foldersOf(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("pictures: %w", err)
	}
	var names []string
	for _, e := range entries {
		if hidden(e.Name()) {
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

// addClasses adds the pictures of some classes' folders in dir; each must have some if
// all says so.
func (x *Index) addClasses(dir string, classes []string, split data.Split, all bool) error {
	for _, class := range classes {
		before, others := len(x.Items), len(x.Others)
		// WalkDir does not follow a link, not even at its root.
		top, err := filepath.EvalSymlinks(filepath.Join(dir, class))
		if err != nil {
			return fmt.Errorf("pictures: %w", err)
		}
		err = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
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
			at := filepath.Join(dir, class, inside)
			name := at
			if rel, err := filepath.Rel(x.Root, at); err == nil {
				name = filepath.ToSlash(rel)
			}
			if !photo.Named(path) {
				x.Others = append(x.Others, name)
				return nil
			}
			x.Items = append(x.Items, Item{Path: at, Name: name, Label: slices.Index(x.Classes, class), Split: split})
			return nil
		})
		if err != nil {
			return fmt.Errorf("pictures: %w", err)
		}
		if all && len(x.Items) == before {
			there := ""
			if names := x.Others[others:]; len(names) > 0 {
				there = " (" + Kinds(names) + ")"
			}
			return fmt.Errorf("pictures: no picture of class %q is in %s%s; put JPEG, PNG, GIF, WebP, BMP or TIFF files there or remove the folder",
				class, filepath.Join(dir, class), there)
		}
	}
	return nil
}

// check reports what no training can begin with.
func (x *Index) check() error {
	if len(x.Classes) < 2 {
		return x.tooFew()
	}
	if x.Tested && x.count(data.Test) == 0 {
		return fmt.Errorf("pictures: none of %s is to be tested on; fill that part or leave it out", x.Root)
	}
	if x.count(data.Train) == 0 {
		return errors.New("pictures: none of " + x.Root + " is to be trained on")
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

// Counts returns how many pictures each class has in a part.
func (x *Index) Counts(split data.Split) []int {
	counts := make([]int, len(x.Classes))
	for _, it := range x.Items {
		if it.Split == split {
			counts[it.Label]++
		}
	}
	return counts
}

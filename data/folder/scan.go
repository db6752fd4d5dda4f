package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/lines"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/nearest"
	"github.com/residual-ml/residual/internal/promptly"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/task"
)

// IsPath reports whether name is a path to a folder or a file, rather than the name of a
// built-in data set. The name of a data set takes precedence over a folder of that name, which
// is written with a slash: ./garments.
func IsPath(name string) bool {
	if strings.ContainsRune(name, '/') || strings.ContainsRune(name, filepath.Separator) || endsAsList(name) {
		return true
	}
	if slices.ContainsFunc(data.Names(), func(s data.SourceInfo) bool { return s.Name == name }) {
		return false
	}
	_, err := os.Stat(name)
	return err == nil // Scan returns an error for a file that is not a list
}

// IsList reports whether path is a list of images rather than a folder: it is a file or, if
// nothing is there, has the extension of a list: .csv, .jsonl or .ndjson.
func IsList(path string) bool {
	if st, err := os.Stat(path); err == nil {
		return !st.IsDir()
	}
	return endsAsList(path)
}

// Scan lists the images of a folder, or of a list when path is a file: a CSV table or JSON
// lines, which its content tells.
//
// A folder has one folder per class, which has images at any depth. Or it has folders for the
// splits, which contain the folders of the classes: one for training, and one for validation
// or testing. They are recognised by their names, such as train, Training_set, seg_train, val,
// dev, Test and holdout. If there are both, the validation images are data.Test and the test
// images are not used. A folder with such a name but without folders of classes is a class.
// Index.Layout lists the folders that were taken as splits.
//
// Classes are sorted by name (lines.Name), byte by byte, as in torchvision's ImageFolder.
// Names that begin with a dot are ignored.
func Scan(path string) (*Index, error) {
	x, err := scan(path, nil)
	if err != nil {
		return nil, err
	}
	return x, x.check()
}

// ScanAs is Scan for given classes, such as those of a trained model: labels are indices into
// classes. Some classes and splits may be missing in a folder, but a class that is not in
// classes is an error.
func ScanAs(path string, classes []string) (*Index, error) {
	x, err := scan(path, classes)
	if err == nil && len(x.Items) == 0 {
		err = fmt.Errorf("images: %s has no images; put JPEG, PNG, GIF, WebP, BMP or TIFF files there, in one folder per class", path)
	}
	return x, err
}

// scan lists images. known holds the classes if they are given, as for ScanAs.
func scan(path string, known []string) (*Index, error) { return scanBy(path, known, nil) }

// scanBy is scan for a list with the given columns of labels or values; c is nil for classes.
func scanBy(path string, known []string, c *Columns) (*Index, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("images: %w; name a folder with one folder per class, or a .csv or .jsonl list", err)
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
		if err := c.findClasses(); err != nil {
			return nil, err
		}
		x.Layout = append(x.Layout, Part{Name: c.name, Images: countImages(filepath.Join(root, c.name), 0), Classes: len(c.classes)})
	}
	if n := loose(root); n > 0 && len(folders) > 0 {
		x.note("images in %s itself, beside the folders, are not used: %d", root, n)
	}
	return x, nil
}

// asClasses adds notes about folders that are classes although they have the names of splits.
func (x *Index) asClasses(folders []string) {
	for _, name := range folders {
		if kind, stem := partName(name); kind != noPart && stem == "" {
			x.note("%q is taken as a class, since it does not contain folders of the other classes; if it is a part of the data set, put it elsewhere", name)
		}
	}
}

// addPart adds the images of a split, whose folders are classes.
func (x *Index) addPart(c candidate, split data.Split, defineClasses bool) error {
	if split == data.Test && x.Classes != nil && x.count(data.Train) > 0 {
		for _, name := range c.classes {
			if labelOf(x.Classes, name) < 0 {
				return fmt.Errorf("images: %s has a class %q that is not one of the training classes, which are %s; %sthe folders must have the same names",
					c.inside, name, firstFew(x.Classes), nearest.Aside(name, x.Classes, "%q"))
			}
		}
	}
	before := len(x.Items)
	if err := x.addFolders(c.inside, c.classes, split, defineClasses); err != nil {
		return err
	}
	x.Layout = append(x.Layout, Part{Name: c.name, Split: split, Images: len(x.Items) - before, Classes: len(c.classes)})
	if n := loose(c.inside); n > 0 {
		x.note("images in %s itself, beside the folders of the classes, are not used: %d", c.inside, n)
	}
	return nil
}

// addFolders adds the images of folders in dir, each of which is a class of the index. With
// defineClasses the folders define these classes. Folders whose names are equal by lines.Name
// are one class.
func (x *Index) addFolders(dir string, folders []string, split data.Split, defineClasses bool) error {
	same := map[string][]string{} // the folders of each class
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
	if defineClasses {
		x.Classes = slices.Sorted(maps.Keys(same))
		x.similar()
	}
	for _, class := range slices.Sorted(maps.Keys(same)) {
		label := labelOf(x.Classes, class)
		if label < 0 {
			return fmt.Errorf("images: %s has a class %q, which the model does not know; %sit knows %s. Rename or remove the folder",
				dir, class, nearest.Aside(class, x.Classes, "%q"), firstFew(x.Classes))
		}
		if err := x.addClass(dir, same[class], label, split, defineClasses); err != nil {
			return err
		}
		if len(same[class]) > 1 {
			x.note("the folders %s in %s are one class, %q: their names differ only in spaces or in how their letters are composed", ascii(same[class]), dir, class)
		}
	}
	return nil
}

// addClass adds the images of the folders of one class in dir. With required, having no images
// is an error.
func (x *Index) addClass(dir string, folders []string, label int, split data.Split, required bool) error {
	before, others := len(x.Items), len(x.Others)
	for _, name := range folders {
		if err := x.addTree(dir, name, label, split); err != nil {
			return fmt.Errorf("images: %w", err)
		}
	}
	if required && len(x.Items) == before {
		there := ""
		if names := x.Others[others:]; len(names) > 0 {
			there = " (" + Kinds(names) + ")"
		}
		return fmt.Errorf("images: no image of class %q is in %s%s; put JPEG, PNG, GIF, WebP, BMP or TIFF files there or remove the folder",
			x.Classes[label], filepath.Join(dir, folders[0]), there)
	}
	return nil
}

// addTree adds all images below a folder in dir.
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

// check returns an error if no training can begin with the index.
func (x *Index) check() error {
	if len(x.Classes) < 2 && !x.targeted() {
		return x.tooFew()
	}
	if x.targeted() && len(x.Targets.Names) == 0 {
		return fmt.Errorf("images: no image of %s has a label", x.list)
	}
	if x.Tested && x.count(data.Test) == 0 {
		return fmt.Errorf("images: %s has no test images; add some to its validation or test folder, or remove that folder", x.Root)
	}
	if x.count(data.Train) == 0 {
		return fmt.Errorf("images: %s has no training images; add some", x.Root)
	}
	return nil
}

// ScanContext is Scan that returns as soon as the context ends, however many files there are.
func ScanContext(ctx context.Context, path string) (*Index, error) {
	return promptly.Result(ctx, func() (*Index, error) { return Scan(path) })
}

// ScanAsContext is ScanAs that returns as soon as the context ends.
func ScanAsContext(ctx context.Context, path string, classes []string) (*Index, error) {
	return promptly.Result(ctx, func() (*Index, error) { return ScanAs(path, classes) })
}

// ScanTargets is Scan for a list of images with labels or values, which Index.Targets then
// describes.
func ScanTargets(ctx context.Context, path string, c Columns) (*Index, error) {
	return promptly.Result(ctx, func() (*Index, error) {
		if c.Task != task.Labels && c.Task != task.Values {
			return nil, fmt.Errorf("images: targets of the task %q; a list has labels or values", c.Task)
		}
		x, err := scanBy(path, nil, &c)
		if err == nil && c.Known == nil {
			err = x.check()
		}
		return x, err
	})
}

package folder

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/residual-ml/residual/data/lines"
)

// candidate is a folder in the root of a data set that may be a split or a class.
type candidate struct {
	name    string
	kind    partKind // the split that its name stands for
	inside  string   // the folder that contains its class folders: itself or one inside it
	classes []string // the folders in inside, if some of them contain images
}

// isPart reports whether the folder can be a split: it has the name of one, and class folders.
func (c candidate) isPart() bool { return c.kind != noPart && len(c.classes) > 0 }

// candidates examines the folders in root. The name of a split may contain other words, such
// as the name of the data set, if the folders of two splits contain the same words. A folder
// with the name of a known class is that class.
func candidates(root string, folders, known []string) ([]candidate, error) {
	kinds := map[string]map[partKind]bool{} // by the other words of the name
	for _, name := range folders {
		if kind, stem := partName(name); kind != noPart {
			if kinds[stem] == nil {
				kinds[stem] = map[partKind]bool{}
			}
			kinds[stem][kind] = true
		}
	}
	out := make([]candidate, len(folders))
	for i, name := range folders {
		c := candidate{name: name, inside: filepath.Join(root, name)}
		kind, stem := partName(name)
		if (stem == "" || len(kinds[stem]) > 1) && labelOf(known, name) < 0 {
			c.kind = kind
		}
		if c.kind != noPart {
			if err := c.findClasses(); err != nil {
				return nil, err
			}
		}
		out[i] = c
	}
	return out, nil
}

// findClasses finds the class folders of a split. They are in the folder itself, or in a single
// folder inside it that has the name of the same split or a meaningless one, such as
// seg_train/seg_train or train/images.
func (c *candidate) findClasses() error {
	for range 3 {
		inner, err := foldersOf(c.inside)
		if err != nil {
			return err
		}
		full := make([]string, 0, 2)
		for _, name := range inner {
			if len(full) < 2 && countImages(filepath.Join(c.inside, name), 1) > 0 {
				full = append(full, name)
			}
		}
		if len(full) == 0 {
			return nil
		}
		if len(full) == 1 {
			if kind, _ := partName(full[0]); kind != noPart && kind == c.kind || full[0] == c.name || filler(full[0]) {
				c.inside = filepath.Join(c.inside, full[0])
				continue
			}
		}
		c.classes = inner
		return nil
	}
	return nil
}

// layout says which folders of a data set are splits and which are classes.
type layout struct {
	train, test *candidate
	classes     []string // folders of the root that are classes of the training images
	unused      []candidate
}

// layoutOf finds the layout from the names and the contents of the folders. A folder with the
// name of a split but without class folders is a class, unless all folders have such names;
// then there are no classes. known holds the classes of a model. Without known, there must be
// training images.
func layoutOf(root string, folders, known []string) (l layout, err error) {
	all, err := candidates(root, folders, known)
	if err != nil {
		return l, err
	}
	var trains, tests, others []candidate
	for _, c := range all {
		switch {
		case !c.isPart():
			others = append(others, c)
		case c.kind == trainPart:
			trains = append(trains, c)
		default:
			tests = append(tests, c)
		}
	}
	slices.SortStableFunc(tests, func(a, b candidate) int { return cmp.Compare(partRank(a.name), partRank(b.name)) })
	// The classes may be beside the test folder.
	beside := len(trains) == 0 && len(tests) > 0 && slices.ContainsFunc(others, func(c candidate) bool { return labelOf(tests[0].classes, c.name) >= 0 })
	switch {
	case len(trains) > 1:
		return l, fmt.Errorf("images: %s has %s, each with the name of a part to train on and class folders inside; keep one of them there, or put their class folders together",
			root, quoted(namesOf(trains)))
	case len(trains) == 0 && len(tests) > 0 && known == nil && !beside:
		return l.withoutTrain(root, tests, others)
	case len(trains) == 0 && (len(tests) == 0 || beside):
		for _, c := range others {
			l.classes = append(l.classes, c.name)
		}
		if len(tests) == 0 {
			return l, l.noClasses(root, others, known)
		}
		others = nil
	default:
		if len(trains) > 0 {
			l.train = &trains[0]
		}
	}
	if len(tests) == 0 { // check reports a split without images later
		if i := slices.IndexFunc(others, func(c candidate) bool {
			return (c.kind == valPart || c.kind == testPart) && countImages(c.inside, 1) == 0
		}); i >= 0 {
			tests, others = others[i:i+1:i+1], slices.Delete(slices.Clone(others), i, i+1)
		}
	}
	if len(tests) > 0 {
		l.test, l.unused = &tests[0], tests[1:]
	}
	l.unused = append(l.unused, others...)
	return l, l.ambiguous(root, known)
}

// withoutTrain returns the layout of a folder that has test folders but neither a training
// folder nor classes beside them.
func (l layout) withoutTrain(root string, tests, others []candidate) (layout, error) {
	for _, c := range others {
		if name, err := shared(tests[0].classes, c.inside); err != nil || name != "" {
			return l, cmp.Or(err, fmt.Errorf("images: in %s the folders %q and %q both hold a folder %q, so %[2]q may be the part to test on or a class; if it is the part, call the other one train; if it is a class, rename it",
				root, tests[0].name, c.name, name))
		}
	}
	if len(others) > 0 && !slices.ContainsFunc(others, func(c candidate) bool { return c.kind == trainPart }) {
		for _, c := range others {
			l.classes = append(l.classes, c.name)
		}
		for _, c := range tests {
			l.classes = append(l.classes, c.name)
		}
		slices.Sort(l.classes)
		return l, nil
	}
	return l, fmt.Errorf("images: %s has %s with class folders for testing but no training folder; put a folder train with the same class folders there, or name the training folder: %s",
		root, quoted(namesOf(tests)), tests[0].inside)
}

// noClasses returns an error if every folder has the name of a split and none has class
// folders.
func (l layout) noClasses(root string, all []candidate, known []string) error {
	kinds := map[partKind]bool{}
	for _, c := range all {
		kinds[c.kind] = true
	}
	if known != nil || kinds[noPart] || !kinds[trainPart] || len(kinds) < 2 {
		return nil
	}
	return fmt.Errorf("images: the folders of %s, %s, have the names of parts and no class folders inside; put one folder per class into them, or name the images and their labels in a .csv list",
		root, quoted(namesOf(all)))
}

// ambiguous returns an error if train may be a split or a class: it is the only split, and a
// folder beside it contains a folder with the name of one of its classes.
func (l layout) ambiguous(root string, known []string) error {
	if l.train == nil || l.test != nil || known != nil {
		return nil
	}
	for _, c := range l.unused {
		if name, err := shared(l.train.classes, c.inside); err != nil || name != "" {
			return cmp.Or(err, fmt.Errorf("images: in %s the folders %q and %q both hold a folder %q, so %[2]q may be the part to train on or a class; if it is the part, call the other one val or test, or put it elsewhere; if it is a class, rename it",
				root, l.train.name, c.name, name))
		}
	}
	return nil
}

// shared returns the first folder in dir that has the name of a class and contains images.
func shared(classes []string, dir string) (string, error) {
	inner, err := foldersOf(dir)
	if err != nil {
		return "", err
	}
	for _, name := range inner {
		if labelOf(classes, name) >= 0 && countImages(filepath.Join(dir, name), 1) > 0 {
			return name, nil
		}
	}
	return "", nil
}

func namesOf(all []candidate) (names []string) {
	for _, c := range all {
		names = append(names, c.name)
	}
	return names
}

// labelOf returns the label of the class with the given name, or -1. An exact match comes
// before a match by lines.Name.
func labelOf(classes []string, name string) int {
	if i := slices.Index(classes, name); i >= 0 {
		return i
	}
	name = lines.Name(name)
	return slices.IndexFunc(classes, func(c string) bool { return lines.Name(c) == name })
}

package folder

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/residual-ml/residual/data/lines"
)

// candidate is a folder of a data set's root as its name and what it holds tell it.
type candidate struct {
	name    string
	kind    partKind // by its name, beside the others
	inside  string   // the folder of its class folders: itself, or one inside it
	classes []string // the folders in that, if some of them hold images
}

// isPart says that the folder can be a part: it has the name of one, and class folders.
func (c candidate) isPart() bool { return c.kind != noPart && len(c.classes) > 0 }

// candidates looks at the folders in root. The name of a part may come with the name of
// the data set, where folders of two parts have the same. What is the name of a known
// class is that.
func candidates(root string, folders, known []string) ([]candidate, error) {
	kinds := map[string]map[partKind]bool{} // by the rest of the name
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
			if err := c.look(); err != nil {
				return nil, err
			}
		}
		out[i] = c
	}
	return out, nil
}

// look finds the class folders of a part: those in it, or those in a folder that is all
// there is in it and that has the name of the same part, or one that says nothing, such as
// seg_train/seg_train or train/images.
func (c *candidate) look() error {
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

// layout says which folders are what.
type layout struct {
	train, test *candidate
	classes     []string // folders of the root that are classes to train on, beside test or without parts
	unused      []candidate
}

// layoutOf decides by the names of the folders and by what they hold. A folder that is
// called like a part and has no class folders is a class like any other, unless all are
// called so: then there are no classes. known are the classes of a model; where they are not
// known, some part must be there to train on.
func layoutOf(root string, folders, known []string) (l layout, err error) {
	all, err := candidates(root, folders, known)
	if err != nil {
		return l, err
	}
	var trains, tests, rest []candidate
	for _, c := range all {
		switch {
		case !c.isPart():
			rest = append(rest, c)
		case c.kind == trainPart:
			trains = append(trains, c)
		default:
			tests = append(tests, c)
		}
	}
	slices.SortStableFunc(tests, func(a, b candidate) int { return cmp.Compare(partRank(a.name), partRank(b.name)) })
	// The classes may lie beside the part to test on.
	beside := len(trains) == 0 && len(tests) > 0 && slices.ContainsFunc(rest, func(c candidate) bool { return labelOf(tests[0].classes, c.name) >= 0 })
	switch {
	case len(trains) > 1:
		return l, fmt.Errorf("images: %s has %s, each with the name of a part to train on and class folders inside; keep one of them there, or put their class folders together",
			root, quoted(namesOf(trains)))
	case len(trains) == 0 && len(tests) > 0 && known == nil && !beside:
		return l.withoutTrain(root, tests, rest)
	case len(trains) == 0 && (len(tests) == 0 || beside):
		for _, c := range rest {
			l.classes = append(l.classes, c.name)
		}
		if len(tests) == 0 {
			return l, l.noClasses(root, rest, known)
		}
		rest = nil
	default:
		if len(trains) > 0 {
			l.train = &trains[0]
		}
	}
	if len(tests) == 0 { // a part without images is said when they are counted
		if i := slices.IndexFunc(rest, func(c candidate) bool {
			return (c.kind == valPart || c.kind == testPart) && countImages(c.inside, 1) == 0
		}); i >= 0 {
			tests, rest = rest[i:i+1:i+1], slices.Delete(slices.Clone(rest), i, i+1)
		}
	}
	if len(tests) > 0 {
		l.test, l.unused = &tests[0], tests[1:]
	}
	l.unused = append(l.unused, rest...)
	return l, l.ambiguous(root, known)
}

// withoutTrain is the layout of a folder that has parts to test on, no part to train on, and
// none of their classes beside them.
func (l layout) withoutTrain(root string, tests, rest []candidate) (layout, error) {
	for _, c := range rest {
		if name, err := shared(tests[0].classes, c.inside); err != nil || name != "" {
			return l, cmp.Or(err, fmt.Errorf("images: in %s the folders %q and %q both hold a folder %q, so %[2]q may be the part to test on or a class; if it is the part, call the other one train; if it is a class, rename it",
				root, tests[0].name, c.name, name))
		}
	}
	if len(rest) > 0 && !slices.ContainsFunc(rest, func(c candidate) bool { return c.kind == trainPart }) {
		for _, c := range rest {
			l.classes = append(l.classes, c.name)
		}
		for _, c := range tests {
			l.classes = append(l.classes, c.name)
		}
		slices.Sort(l.classes)
		return l, nil
	}
	return l, fmt.Errorf("images: %s has %s to test on, with class folders, and none to train on; put a folder train with the same class folders there, or name the one to train on: %s",
		root, quoted(namesOf(tests)), tests[0].inside)
}

// noClasses is an error where every folder is called like a part and none has class folders.
func (l layout) noClasses(root string, all []candidate, known []string) error {
	kinds := map[partKind]bool{}
	for _, c := range all {
		kinds[c.kind] = true
	}
	if known != nil || kinds[noPart] || !kinds[trainPart] || len(kinds) < 2 {
		return nil
	}
	return fmt.Errorf("images: the folders of %s, %s, have the names of parts and no class folders inside; put one folder a class into them, or name the images and their labels in a .csv list",
		root, quoted(namesOf(all)))
}

// ambiguous is an error where train may be a part as well as a class: it is the only part,
// and folders beside it have folders of the same names.
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

// shared is the first folder with images in dir that has the name of a class.
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

// labelOf finds a class by the name of a folder or a label, which is -1 where it is none:
// the one of that very name, else the one of the same name as lines.Name has it.
func labelOf(classes []string, name string) int {
	if i := slices.Index(classes, name); i >= 0 {
		return i
	}
	name = lines.Name(name)
	return slices.IndexFunc(classes, func(c string) bool { return lines.Name(c) == name })
}

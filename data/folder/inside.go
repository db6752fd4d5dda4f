package folder

import (
	"maps"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/lines"
)

// noteSameFolders adds a note if all classes contain the same folders: the classes may be
// splits whose names this package does not know, and the folders inside the classes.
func (x *Index) noteSameFolders() {
	inside := make([]map[string]bool, len(x.Classes))
	for _, it := range x.Items {
		if at := strings.SplitN(it.Name, "/", 3); len(at) == 3 {
			if inside[it.Label] == nil {
				inside[it.Label] = map[string]bool{}
			}
			inside[it.Label][lines.Name(at[1])] = true
		}
	}
	if len(inside) < 2 || len(inside[0]) < 2 || slices.ContainsFunc(inside, func(m map[string]bool) bool { return !maps.Equal(m, inside[0]) }) {
		return
	}
	x.note("the folders %s are taken as classes, and all contain the folders %s; if those are the classes, rename the training folder to train and the other one to val",
		firstFew(x.Classes), firstFew(slices.Sorted(maps.Keys(inside[0]))))
}

// divideInside recognises splits inside the folders of the classes, such as cat/train and
// cat/test. Every image must be in one of them, and there must be training and test images.
func (x *Index) divideInside() {
	kinds := make([]partKind, len(x.Items))
	known, count := map[string]partKind{}, map[partKind]int{}
	var names []string
	for i, it := range x.Items {
		if at := strings.SplitN(it.Name, "/", 3); len(at) == 3 {
			kind, seen := known[at[1]]
			if !seen {
				if k, stem := partName(at[1]); stem == "" {
					kind = k
				}
				if known[at[1]] = kind; kind != noPart {
					names = append(names, at[1])
				}
			}
			kinds[i] = kind
		}
		count[kinds[i]]++
	}
	slices.Sort(names)
	switch {
	case count[trainPart] == 0 || count[valPart]+count[testPart] == 0:
		x.noteSameFolders()
		return
	case count[noPart] > 0:
		x.note("the folders %s inside the class folders are not used as parts, since other images are beside them; put the classes into folders train and val, or all images of the classes into such folders", quoted(names))
		return
	}
	x.note("the folders %s inside the class folders are taken as parts of the data set", quoted(names))
	x.Tested = true
	if n := count[testPart]; n > 0 && count[valPart] > 0 {
		x.Layout = append(x.Layout, Part{Name: "test", Images: n})
	}
	items := x.Items[:0]
	for i, it := range x.Items {
		switch {
		case kinds[i] == testPart && count[valPart] > 0:
			continue
		case kinds[i] != trainPart:
			it.Split = data.Test
		}
		items = append(items, it)
	}
	x.Items = items
}

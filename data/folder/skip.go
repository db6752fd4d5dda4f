package folder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/tensor"
)

// mostBroken is the share of images that may be broken.
const mostBroken = 0.05

// Without returns the index without the images that Check could not read, and of
// groups those that remain. It is an error when they are more than 5% of all, or all of
// a class: such a folder is rather to be looked at.
func (x *Index) Without(r *Report, groups []int) (*Index, []int, error) {
	if len(r.Broken) == 0 {
		return x, groups, nil
	}
	broken := make(map[string]bool, len(r.Broken))
	for _, p := range r.Broken {
		broken[p.Name] = true
	}
	rest, kept := *x, []int(nil)
	rest.Items = nil
	for i, it := range x.Items {
		if broken[it.Name] {
			continue
		}
		rest.Items = append(rest.Items, it)
		if groups != nil {
			kept = append(kept, groups[i])
		}
	}
	if n := len(r.Broken); float64(n) > mostBroken*float64(len(x.Items)) {
		return nil, nil, fmt.Errorf("images: %d of the %d images of %s cannot be read, more than %.0f%%: %s; `residual data check %s` lists them",
			n, len(x.Items), x.Root, 100*mostBroken, firstOf(r.Broken), shell.Quote(x.Path()))
	}
	if x.targeted() {
		return &rest, kept, nil
	}
	for _, split := range []data.Split{data.Train, data.Test} {
		before, now := x.Counts(split), rest.Counts(split)
		for label, n := range now {
			if n == 0 && before[label] > 0 {
				return nil, nil, fmt.Errorf("images: none of the %d images of class %q in the part %s of %s can be read: %s; `residual data check %s` lists them",
					before[label], x.Classes[label], split, x.Root, firstOf(r.Broken), shell.Quote(x.Path()))
			}
		}
	}
	return &rest, kept, nil
}

// firstOf names a few of the broken images, and says how many are only too large.
func firstOf(broken []Problem) string {
	const few = 3
	var names []string
	for _, p := range broken[:min(few, len(broken))] {
		names = append(names, p.Name)
	}
	if more := len(broken) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	text := strings.Join(names, ", ")
	large, pixels := 0, int64(0)
	for _, p := range broken {
		if p.Pixels > 0 {
			large, pixels = large+1, max(pixels, p.Pixels)
		}
	}
	if large > 0 { // which a check under another limit would not list
		text += fmt.Sprintf("; %d of these for having more pixels than are allowed, up to %d", large, pixels)
	}
	return text
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

package folder

import (
	"fmt"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/internal/shell"
)

// maxBroken is the largest fraction of images that may be broken.
const maxBroken = 0.05

// Without returns the index and the groups without the images that Check could not read. It
// returns an error when these are more than 5% of all images, or all images of a class in a
// split, since the user should then look at the folder.
func (x *Index) Without(r *Report, groups []int) (*Index, []int, error) {
	if len(r.Broken) == 0 {
		return x, groups, nil
	}
	broken := make(map[string]bool, len(r.Broken))
	for _, p := range r.Broken {
		broken[p.Name] = true
	}
	remaining, remainingGroups := *x, []int(nil)
	remaining.Items = nil
	for i, it := range x.Items {
		if broken[it.Name] {
			continue
		}
		remaining.Items = append(remaining.Items, it)
		if groups != nil {
			remainingGroups = append(remainingGroups, groups[i])
		}
	}
	if n := len(r.Broken); float64(n) > maxBroken*float64(len(x.Items)) {
		return nil, nil, fmt.Errorf("images: %d of the %d images of %s cannot be read, more than %.0f%%: %s; `residual data check %s` lists them",
			n, len(x.Items), x.Root, 100*maxBroken, firstOf(r.Broken), shell.Quote(x.Path()))
	}
	if x.targeted() {
		return &remaining, remainingGroups, nil
	}
	for _, split := range []data.Split{data.Train, data.Test} {
		before, now := x.Counts(split), remaining.Counts(split)
		for label, n := range now {
			if n == 0 && before[label] > 0 {
				return nil, nil, fmt.Errorf("images: none of the %d images of class %q in the part %s of %s can be read: %s; `residual data check %s` lists them",
					before[label], x.Classes[label], split, x.Root, firstOf(r.Broken), shell.Quote(x.Path()))
			}
		}
	}
	return &remaining, remainingGroups, nil
}

// firstOf lists the first broken images for a message, and says how many are only too large.
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
	if large > 0 { // a check with a larger limit would not list these
		text += fmt.Sprintf("; %d of these for having more pixels than are allowed, up to %d", large, pixels)
	}
	return text
}

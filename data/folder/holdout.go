package folder

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Holdout chooses the images to test on where the user has not: share of each class,
// rounded, but at least one of a class of two or more. The choice depends on the seed and
// on the names alone, so it does not change with the order of the files, and little
// when images are added. groups, when not nil, holds a number for each item; images
// of one number stay on one side, as near-duplicates must (see Index.Groups). A class then
// has another share held out where its groups are large, and none where it is one group:
// what is trained on is never less than one group of each class. Set.Lacking names such classes.
func (x *Index) Holdout(share float64, seed uint64, groups []int) error {
	if x.Tested {
		return nil
	}
	if !(share > 0 && share < 1) {
		return fmt.Errorf("images: a share of %v to test on; it must be between 0 and 1, such as 0.2", share)
	}
	if groups != nil && len(groups) != len(x.Items) {
		panic(tensor.Misusef("folder.Holdout: %d groups for %d images", len(groups), len(x.Items)))
	}
	if x.targeted() { // targets are no classes: a share of all images is held out
		all := *x
		all.Targets, all.Classes, all.Items = task.Targets{}, []string{"all"}, slices.Clone(x.Items)
		for i := range all.Items {
			all.Items[i].Label = 0
		}
		err := all.Holdout(share, seed, groups)
		for i := range x.Items {
			x.Items[i].Split = all.Items[i].Split
		}
		return err
	}
	h := x.divide(seed, groups)
	for label := range x.Classes {
		h.holdOut(label, share)
	}
	for label := range x.Classes {
		h.holdOutSome(label)
	}
	if x.count(data.Test) == 0 {
		return fmt.Errorf("images: %s has too few images to hold some out for testing, near-duplicates counted once; add images, or a folder val beside train", x.Root)
	}
	return nil
}

// division is a choice of what to test on in the making.
type division struct {
	x       *Index
	classes [][][]int // the groups of each class, in the order of their random numbers; a group is of the class of its first image
	others  [][][]int // the groups of other classes that have images of a class, too
	left    []int     // images of each class to train on
}

func (x *Index) divide(seed uint64, groups []int) *division {
	members := map[int][]int{} // of a group, in the order of the items
	for i := range x.Items {
		x.Items[i].Split = data.Train
		g := i
		if groups != nil {
			g = groups[i]
		}
		members[g] = append(members[g], i)
	}
	lots := make(map[int]uint64, len(members)) // by the first image
	for _, m := range members {
		lots[m[0]] = x.lot(seed, m[0])
	}
	all := slices.SortedFunc(maps.Values(members), func(a, b []int) int {
		return cmp.Or(cmp.Compare(lots[a[0]], lots[b[0]]), cmp.Compare(x.Items[a[0]].Name, x.Items[b[0]].Name))
	})
	h := &division{x: x, classes: make([][][]int, len(x.Classes)), others: make([][][]int, len(x.Classes)), left: x.Counts(data.Train)}
	for _, m := range all {
		first := x.Items[m[0]].Label
		h.classes[first] = append(h.classes[first], m)
		if len(m) == 1 {
			continue
		}
		for label := range h.of(m) {
			if label != first {
				h.others[label] = append(h.others[label], m)
			}
		}
	}
	return h
}

// of counts a group's images by class.
func (h *division) of(group []int) map[int]int {
	counts := map[int]int{}
	for _, i := range group {
		counts[h.x.Items[i].Label]++
	}
	return counts
}

// take holds a group out, unless it has the last images of a class to train on.
func (h *division) take(group []int) bool {
	counts := h.of(group)
	for label, n := range counts {
		if h.left[label] <= n {
			return false
		}
	}
	for label, n := range counts {
		h.left[label] -= n
	}
	for _, i := range group {
		h.x.Items[i].Split = data.Test
	}
	return true
}

// holdOut takes groups of a class until they are its share: those that fit, and then the
// smallest of the others if that comes nearer.
func (h *division) holdOut(label int, share float64) {
	total := 0
	for _, m := range h.classes[label] {
		total += len(m)
	}
	if total < 2 {
		return
	}
	want := HeldOut(total, share)
	var smallest []int
	for _, m := range h.classes[label] {
		if len(m) <= want && h.take(m) {
			want -= len(m)
		} else if smallest == nil || len(m) < len(smallest) {
			smallest = m
		}
	}
	if smallest != nil && len(smallest)-want < want {
		h.take(smallest)
	}
}

// holdOutSome takes the smallest group of a class that has none yet, where more remains
// than it has.
func (h *division) holdOutSome(label int) {
	all := slices.Concat(h.classes[label], h.others[label])
	if slices.ContainsFunc(all, func(m []int) bool { return h.x.Items[m[0]].Split == data.Test }) {
		return
	}
	slices.SortStableFunc(all, func(a, b []int) int { return cmp.Compare(len(a), len(b)) })
	for _, m := range all {
		if 2*h.of(m)[label] <= h.left[label] && h.take(m) {
			return
		}
	}
}

// lot is what an image draws.
func (x *Index) lot(seed uint64, i int) uint64 {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(x.Items[i].Name+"\x00"), seed))
	return binary.LittleEndian.Uint64(sum[:])
}

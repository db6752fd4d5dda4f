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

// Holdout chooses test images if the user has not: the given share of each class, rounded,
// but at least one image of a class with two or more. The choice depends only on the seed and
// on the names, so it does not change with the order of the files, and changes little when
// images are added.
//
// groups, when not nil, holds a group number for each item, as Index.Groups returns. Images
// of one group stay in one split, as near-duplicates must. The share of a class with large
// groups may then be another, and a class with a single group has no test images, since every
// class keeps at least one group for training. Set.Lacking names such classes.
func (x *Index) Holdout(share float64, seed uint64, groups []int) error {
	if x.Tested {
		return nil
	}
	if !(share > 0 && share < 1) {
		return fmt.Errorf("images: the share of test images is %v; it must be between 0 and 1, such as 0.2", share)
	}
	if groups != nil && len(groups) != len(x.Items) {
		panic(tensor.Misusef("folder.Holdout: %d groups for %d images", len(groups), len(x.Items)))
	}
	if x.targeted() { // without classes, hold out a share of all images
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
		return fmt.Errorf("images: %s has too few images to hold some out for testing (near-duplicates count once); add images, or a folder val beside train", x.Root)
	}
	return nil
}

// division is a choice of test images while it is made.
type division struct {
	x         *Index
	classes   [][][]int // the groups of each class, in random order; a group belongs to the class of its first image
	mixed     [][][]int // for each class, the groups of other classes that have images of it
	remaining []int     // the number of training images of each class
}

func (x *Index) divide(seed uint64, groups []int) *division {
	members := map[int][]int{} // the items of each group, in order
	for i := range x.Items {
		x.Items[i].Split = data.Train
		g := i
		if groups != nil {
			g = groups[i]
		}
		members[g] = append(members[g], i)
	}
	numbers := make(map[int]uint64, len(members)) // random numbers by the first image of a group
	for _, m := range members {
		numbers[m[0]] = x.randomNumber(seed, m[0])
	}
	all := slices.SortedFunc(maps.Values(members), func(a, b []int) int {
		return cmp.Or(cmp.Compare(numbers[a[0]], numbers[b[0]]), cmp.Compare(x.Items[a[0]].Name, x.Items[b[0]].Name))
	})
	h := &division{x: x, classes: make([][][]int, len(x.Classes)), mixed: make([][][]int, len(x.Classes)), remaining: x.Counts(data.Train)}
	for _, m := range all {
		first := x.Items[m[0]].Label
		h.classes[first] = append(h.classes[first], m)
		if len(m) == 1 {
			continue
		}
		for label := range h.countByClass(m) {
			if label != first {
				h.mixed[label] = append(h.mixed[label], m)
			}
		}
	}
	return h
}

// countByClass counts the images of a group by class.
func (h *division) countByClass(group []int) map[int]int {
	counts := map[int]int{}
	for _, i := range group {
		counts[h.x.Items[i].Label]++
	}
	return counts
}

// holdOutGroup holds out a group unless it has the last training images of a class.
func (h *division) holdOutGroup(group []int) bool {
	counts := h.countByClass(group)
	for label, n := range counts {
		if h.remaining[label] <= n {
			return false
		}
	}
	for label, n := range counts {
		h.remaining[label] -= n
	}
	for _, i := range group {
		h.x.Items[i].Split = data.Test
	}
	return true
}

// holdOut holds out groups of a class until they are its share: the groups that fit, and then
// the smallest of the others if that comes closer to the share.
func (h *division) holdOut(label int, share float64) {
	total := 0
	for _, m := range h.classes[label] {
		total += len(m)
	}
	if total < 2 {
		return
	}
	remaining := HeldOut(total, share)
	var smallest []int
	for _, m := range h.classes[label] {
		if len(m) <= remaining && h.holdOutGroup(m) {
			remaining -= len(m)
		} else if smallest == nil || len(m) < len(smallest) {
			smallest = m
		}
	}
	if smallest != nil && len(smallest)-remaining < remaining {
		h.holdOutGroup(smallest)
	}
}

// holdOutSome holds out the smallest possible group of a class that has no test images yet, if
// at least as many of its images remain for training.
func (h *division) holdOutSome(label int) {
	all := slices.Concat(h.classes[label], h.mixed[label])
	if slices.ContainsFunc(all, func(m []int) bool { return h.x.Items[m[0]].Split == data.Test }) {
		return
	}
	slices.SortStableFunc(all, func(a, b []int) int { return cmp.Compare(len(a), len(b)) })
	for _, m := range all {
		if 2*h.countByClass(m)[label] <= h.remaining[label] && h.holdOutGroup(m) {
			return
		}
	}
}

// randomNumber returns the random number of an image, which depends only on its name and the
// seed.
func (x *Index) randomNumber(seed uint64, i int) uint64 {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(x.Items[i].Name+"\x00"), seed))
	return binary.LittleEndian.Uint64(sum[:])
}

package folder

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/residual-ml/residual/data"
)

// Holdout chooses the pictures to test on where the user has not: share of each class,
// rounded, but at least one of a class of two or more. The choice hangs on the seed and
// on the names alone, so it does not change with the order of the files, and little
// when pictures are added. groups, when not nil, holds a number for each item; pictures
// of one number stay on one side, as near-duplicates must (see Index.Groups).
func (x *Index) Holdout(share float64, seed uint64, groups []int) error {
	if x.Tested {
		return nil
	}
	if !(share > 0 && share < 1) {
		return fmt.Errorf("pictures: a share of %v to test on; it must be between 0 and 1, such as 0.2", share)
	}
	if groups != nil && len(groups) != len(x.Items) {
		panic(fmt.Sprintf("folder.Holdout: %d groups for %d pictures", len(groups), len(x.Items)))
	}
	members := map[int][]int{} // of a group, in the order of the items
	for i := range x.Items {
		x.Items[i].Split = data.Train
		g := i
		if groups != nil {
			g = groups[i]
		}
		members[g] = append(members[g], i)
	}
	// A group belongs to the class of its first picture.
	classes := make([][][]int, len(x.Classes))
	for _, m := range members {
		label := x.Items[m[0]].Label
		classes[label] = append(classes[label], m)
	}
	for _, groups := range classes {
		total := 0
		for _, m := range groups {
			total += len(m)
		}
		want := HeldOut(total, share)
		slices.SortFunc(groups, func(a, b []int) int {
			return cmp.Or(cmp.Compare(x.lot(seed, a[0]), x.lot(seed, b[0])), cmp.Compare(x.Items[a[0]].Name, x.Items[b[0]].Name))
		})
		held := 0
		for _, m := range groups {
			// A group that would take more than the rest of the class is passed over.
			if held >= want || held+len(m) > total-1 {
				continue
			}
			for _, i := range m {
				x.Items[i].Split = data.Test
			}
			held += len(m)
		}
	}
	if x.count(data.Test) == 0 {
		return fmt.Errorf("pictures: %s has too few pictures to hold some out for testing; add pictures, or a folder val beside train", x.Root)
	}
	return nil
}

// lot is what a picture draws.
func (x *Index) lot(seed uint64, i int) uint64 {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(x.Items[i].Name+"\x00"), seed))
	return binary.LittleEndian.Uint64(sum[:])
}

package folder

import (
	"cmp"
	"maps"
	"slices"

	"github.com/residual-ml/residual/tensor"
)

// Folds divides the images into a number of folds of about the same size, each with about the
// same share of every class, and returns the fold of each item. The division depends only on the
// seed and on the names. groups is as for Holdout: the images of one group are in one fold. An
// image of a class with a single group is in no fold, -1, since a model can only judge it if it
// was trained on others of its class.
func (x *Index) Folds(folds int, seed uint64, groups []int) []int {
	if folds < 2 || groups != nil && len(groups) != len(x.Items) {
		panic(tensor.Misusef("folder.Folds: %d folds, and %d groups for %d images", folds, len(groups), len(x.Items)))
	}
	members := map[int][]int{} // the items of each group, in order
	for i := range x.Items {
		g := i
		if groups != nil {
			g = groups[i]
		}
		members[g] = append(members[g], i)
	}
	all := slices.SortedFunc(maps.Values(members), func(a, b []int) int {
		return cmp.Or(cmp.Compare(x.randomNumber(seed, a[0]), x.randomNumber(seed, b[0])), cmp.Compare(x.Items[a[0]].Name, x.Items[b[0]].Name))
	})
	perClass := make([]int, len(x.Classes)) // groups
	for _, m := range all {
		for _, label := range x.labelsOf(m) {
			perClass[label]++
		}
	}
	of := make([]int, len(x.Items))
	count, sum := make([][]int, len(x.Classes)), make([]int, folds) // images in each fold
	for i := range count {
		count[i] = make([]int, folds)
	}
	for _, m := range all {
		fold := 0
		first := x.Items[m[0]].Label
		for k := range folds {
			if cmp.Or(cmp.Compare(count[first][k], count[first][fold]), cmp.Compare(sum[k], sum[fold])) < 0 {
				fold = k
			}
		}
		if slices.ContainsFunc(x.labelsOf(m), func(label int) bool { return perClass[label] < 2 }) {
			fold = -1
		}
		for _, i := range m {
			of[i] = fold
			if fold >= 0 {
				count[x.Items[i].Label][fold]++
				sum[fold]++
			}
		}
	}
	return of
}

// labelsOf lists the labels of a group once each.
func (x *Index) labelsOf(group []int) (labels []int) {
	for _, i := range group {
		if !slices.Contains(labels, x.Items[i].Label) {
			labels = append(labels, x.Items[i].Label)
		}
	}
	return labels
}

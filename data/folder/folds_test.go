package folder

import (
	"fmt"
	"slices"
	"testing"
)

// Folds have equal shares of every class, keep groups together, and do not depend on the order
// of the images; an image whose class has no other group is in none.
func TestFolds(t *testing.T) {
	x := &Index{Classes: []string{"a", "b", "alone"}}
	var groups []int
	for i := range 53 {
		label := i % 2
		if i == 52 {
			label = 2
		}
		x.Items = append(x.Items, Item{Name: fmt.Sprint("image", i), Label: label})
		groups = append(groups, i)
	}
	groups[9], groups[7], groups[3] = 1, 1, 1
	of := x.Folds(5, 4, groups)
	count := map[[2]int]int{}
	for i, fold := range of {
		count[[2]int{x.Items[i].Label, fold}]++
	}
	for fold := range 5 {
		for label := range 2 {
			if n := count[[2]int{label, fold}]; n < 4 || n > 7 {
				t.Errorf("fold %d has %d images of class %d", fold, n, label)
			}
		}
	}
	if of[9] != of[1] || of[7] != of[1] || of[3] != of[1] {
		t.Errorf("the images of a group are in the folds %d, %d, %d and %d", of[1], of[3], of[7], of[9])
	}
	if of[52] != -1 {
		t.Errorf("the only image of a class is in fold %d", of[52])
	}
	turned := &Index{Classes: x.Classes, Items: slices.Clone(x.Items)}
	slices.Reverse(turned.Items)
	of = x.Folds(5, 4, nil)
	for i, fold := range turned.Folds(5, 4, nil) {
		if fold != of[52-i] {
			t.Fatalf("%s is in fold %d, and in %d in another order", turned.Items[i].Name, fold, of[52-i])
		}
	}
	if other := x.Folds(5, 5, nil); slices.Equal(of, other) {
		t.Error("the seed changes nothing")
	}
}

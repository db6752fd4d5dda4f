package folder

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
)

// grouped is an index whose classes are groups of so many near-duplicates.
func grouped(classes ...[]int) (x *Index, groups []int) {
	x = &Index{Root: "photos"}
	for label, sizes := range classes {
		x.Classes = append(x.Classes, fmt.Sprint(label))
		for _, n := range sizes {
			first := len(x.Items)
			for range n {
				x.Items = append(x.Items, Item{Name: fmt.Sprintf("%d/%03d.jpg", label, len(x.Items)), Label: label, Split: data.Train})
				groups = append(groups, first)
			}
		}
	}
	return x, groups
}

func ones(n int) []int { return slices.Repeat([]int{1}, n) }

// A fifth of each class is held out as near as its groups allow, never all of a class, and
// something of every class that has two groups.
func TestHoldoutOfGroups(t *testing.T) {
	for _, c := range []struct {
		classes [][]int
		want    []int // to test on
	}{
		{[][]int{ones(20), {20}}, []int{4, 0}}, // frames of one video
		{[][]int{ones(20), {1}}, []int{4, 0}},
		{[][]int{ones(10), {19, 1}}, []int{2, 1}},
		{[][]int{ones(10), {10, 10}}, []int{2, 10}},
		{[][]int{ones(10), {7, 7, 6}}, []int{2, 6}},
		{[][]int{ones(10), {15, 5}}, []int{2, 5}},
		{[][]int{ones(10), {2, 2, 2, 2, 2}}, []int{2, 2}},
		{[][]int{ones(10), append([]int{30}, ones(10)...)}, []int{2, 8}},
		{[][]int{ones(10), {3, 3, 3, 3, 3, 3, 3, 3}}, []int{2, 6}}, // 5 of 24: six are nearer than three
		{[][]int{ones(10), {2}, {1, 1}}, []int{2, 0, 1}},
	} {
		for seed := range uint64(20) {
			x, groups := grouped(c.classes...)
			if err := x.Holdout(0.2, seed, groups); err != nil {
				t.Fatal(err)
			}
			if got := x.Counts(data.Test); !slices.Equal(got, c.want) {
				t.Errorf("%v, seed %d: %v are held out, want %v", c.classes, seed, got, c.want)
			}
			for i, g := range groups {
				if x.Items[i].Split != x.Items[g].Split {
					t.Fatalf("%v: a group is on both sides", c.classes)
				}
			}
		}
	}
	x, groups := grouped([]int{9}, []int{5}, []int{1})
	if err := x.Holdout(0.2, 0, groups); err == nil || !strings.Contains(err.Error(), "near-duplicates counted once") {
		t.Error(err)
	}
}

// Without groups the choice is the first of each class by their random numbers.
func TestHoldoutAtRandom(t *testing.T) {
	x, _ := grouped(ones(31), ones(7), ones(2), ones(1))
	if err := x.Holdout(0.25, 9, nil); err != nil {
		t.Fatal(err)
	}
	for label, n := range []int{31, 7, 2, 1} {
		var all []int
		for i, it := range x.Items {
			if it.Label == label {
				all = append(all, i)
			}
		}
		slices.SortFunc(all, func(a, b int) int { return cmp.Compare(x.lot(9, a), x.lot(9, b)) })
		want := int(math.Round(0.25 * float64(n)))
		if n == 2 {
			want = 1
		}
		for k, i := range all {
			if (x.Items[i].Split == data.Test) != (k < want) {
				t.Errorf("class of %d: image %d by lot is in part %s", n, k, x.Items[i].Split)
			}
		}
	}
}

// A group of two classes is held out only if both have others to train on, and counts for both.
func TestHoldoutOfGroupsOfTwoClasses(t *testing.T) {
	for seed := range uint64(50) {
		x, groups := grouped(ones(5), ones(1), ones(3))
		groups[5] = 0 // the only image of the second class shows what the first of the first does
		for i := 6; i < 9; i++ {
			groups[i] = i - 5 // those of the third are of groups of the first
		}
		if err := x.Holdout(0.2, seed, groups); err != nil {
			t.Fatal(err)
		}
		if got := x.Counts(data.Train); got[1] != 1 || got[2] == 0 {
			t.Fatalf("seed %d: to train on are %v", seed, got)
		}
		if got := x.Counts(data.Test); got[0] < 1 || got[2] < 1 {
			t.Fatalf("seed %d: to test on are %v", seed, got)
		}
	}
}

func TestLacking(t *testing.T) {
	x, groups := grouped(ones(10), []int{10}, ones(2))
	if err := x.Holdout(0.2, 0, groups); err != nil {
		t.Fatal(err)
	}
	for split, want := range map[data.Split][]string{data.Train: nil, data.Test: {"1"}} {
		s, err := x.Set(split, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Lacking(); !slices.Equal(got, want) {
			t.Errorf("the part %s lacks %v, want %v", split, got, want)
		}
	}
	s, err := x.Set(data.Test, Options{MaxImages: 2})
	if err != nil || len(s.Lacking()) != 2 {
		t.Errorf("two images of three classes lack %v, %v", s.Lacking(), err)
	}
}

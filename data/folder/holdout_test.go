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

// grouped returns an index whose classes have groups of near-duplicates with the given sizes.
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

// A fifth of each class is held out, as closely as its groups allow: never all of a class, and
// at least one image of every class that has two groups.
func TestHoldoutOfGroups(t *testing.T) {
	for _, c := range []struct {
		classes [][]int
		want    []int // test images of each class
	}{
		{[][]int{ones(20), {20}}, []int{4, 0}}, // frames of one video
		{[][]int{ones(20), {1}}, []int{4, 0}},
		{[][]int{ones(10), {19, 1}}, []int{2, 1}},
		{[][]int{ones(10), {10, 10}}, []int{2, 10}},
		{[][]int{ones(10), {7, 7, 6}}, []int{2, 6}},
		{[][]int{ones(10), {15, 5}}, []int{2, 5}},
		{[][]int{ones(10), {2, 2, 2, 2, 2}}, []int{2, 2}},
		{[][]int{ones(10), append([]int{30}, ones(10)...)}, []int{2, 8}},
		{[][]int{ones(10), {3, 3, 3, 3, 3, 3, 3, 3}}, []int{2, 6}}, // the share is 5 of 24, to which 6 is closer than 3
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
					t.Fatalf("%v: a group is in both splits", c.classes)
				}
			}
		}
	}
	x, groups := grouped([]int{9}, []int{5}, []int{1})
	if err := x.Holdout(0.2, 0, groups); err == nil || !strings.Contains(err.Error(), "near-duplicates count once") {
		t.Error(err)
	}
}

// Without groups, the images of each class with the smallest random numbers are held out.
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
		slices.SortFunc(all, func(a, b int) int { return cmp.Compare(x.randomNumber(9, a), x.randomNumber(9, b)) })
		want := int(math.Round(0.25 * float64(n)))
		if n == 2 {
			want = 1
		}
		for k, i := range all {
			if (x.Items[i].Split == data.Test) != (k < want) {
				t.Errorf("class of %d: image %d by random number is in the split %s", n, k, x.Items[i].Split)
			}
		}
	}
}

// A group with images of two classes is held out only if both classes keep training images, and
// it counts for both.
func TestHoldoutOfGroupsOfTwoClasses(t *testing.T) {
	for seed := range uint64(50) {
		x, groups := grouped(ones(5), ones(1), ones(3))
		groups[5] = 0 // the only image of the second class is in the group of the first image
		for i := 6; i < 9; i++ {
			groups[i] = i - 5 // the images of the third class are in groups of the first class
		}
		if err := x.Holdout(0.2, seed, groups); err != nil {
			t.Fatal(err)
		}
		if got := x.Counts(data.Train); got[1] != 1 || got[2] == 0 {
			t.Fatalf("seed %d: training images %v", seed, got)
		}
		if got := x.Counts(data.Test); got[0] < 1 || got[2] < 1 {
			t.Fatalf("seed %d: test images %v", seed, got)
		}
	}
}

func TestClassesWithoutImages(t *testing.T) {
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

package report

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/residual-ml/residual/tensor"
)

func TestConfusionText(t *testing.T) {
	got := ConfusionText([]string{"t-shirt", "trouser", "pullover", "hat"}, [][]int{
		{8, 0, 2, 0},
		{0, 10, 0, 0},
		{4, 0, 6, 0},
		{0, 0, 0, 0},
	})
	// t-shirt: precision 8/12, recall 8/10, F1 16/22.
	// pullover: precision 6/8, recall 6/10, F1 12/18.
	want := `   true \ predicted  0   1  2  3
────────────────────────────────
0  t-shirt           8   ·  2  ·
1  trouser           ·  10  ·  ·
2  pullover          4   ·  6  ·
3  hat               ·   ·  ·  0

class      precision  recall     F1  images
───────────────────────────────────────────
t-shirt        0.667   0.800  0.727      10
trouser        1.000   1.000  1.000      10
pullover       0.750   0.600  0.667      10
hat                –       –      –       0
───────────────────────────────────────────
mean of 3      0.806   0.800  0.798      30
– is a share of no image; each mean is over the classes that have the figure

accuracy 0.8000 (24 of 30, over 3 of 4 classes: no images of hat)
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestConfusionOfManyClassesListsMistakes(t *testing.T) {
	const n = 30
	classes, counts := make([]string, n), make([][]int, n)
	for i := range counts {
		classes[i] = "c" + strconv.Itoa(i)
		counts[i] = make([]int, n)
		counts[i][i] = 5
		counts[i][(i+1)%n] = i
	}
	got := strings.Split(ConfusionText(classes, counts), "\n")
	if want := "c29   c0             29"; got[2] != want {
		t.Errorf("worst mistake is %q, want %q", got[2], want)
	}
	if got[2+listedMistakes] != "" {
		t.Errorf("line after the list is %q, want none", got[2+listedMistakes])
	}
}

func TestConfusionChecksItsShape(t *testing.T) {
	for _, counts := range [][][]int{nil, {{1, 2}}, {{1, 2}, {3}}} {
		func() {
			defer func() {
				if r := tensor.Recovered(recover()); r == nil || !strings.Contains(r.Error(), "2 classes") {
					t.Errorf("counts %v: recovered %v", counts, r)
				}
			}()
			ConfusionText([]string{"a", "b"}, counts)
		}()
	}
	if got := ConfusionText(nil, nil); got != "no classes\n" {
		t.Errorf("no classes: %q", got)
	}
}

// Scores and means are scikit-learn's with zero_division=nan, and null in JSON where they
// divide by zero.
func TestScoresAsScikitLearn(t *testing.T) {
	text, err := os.ReadFile("testdata/scores.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Cases []struct {
			Counts          [][]int
			Classes         [][3]*float64
			Macro, Weighted [3]*float64
		}
	}
	if err := json.Unmarshal(text, &want); err != nil || len(want.Cases) < 6 {
		t.Fatal(err, len(want.Cases))
	}
	for _, c := range want.Cases {
		names := make([]string, len(c.Counts))
		for i := range names {
			names[i] = fmt.Sprint("c", i)
		}
		scores := Scores(names, c.Counts)
		macro, weighted, _ := Means(scores)
		for i, s := range append(scores, macro, weighted) {
			want := append(c.Classes, c.Macro, c.Weighted)[i]
			b, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var got struct{ Precision, Recall, F1 *float64 }
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			for k, v := range []*float64{got.Precision, got.Recall, got.F1} {
				if (v == nil) != (want[k] == nil) || v != nil && math.Abs(*v-*want[k]) > 1e-11 {
					t.Errorf("%v: figure %d of %s is %s, not scikit-learn's", c.Counts, k, s.Class, b)
				}
			}
		}
	}
}

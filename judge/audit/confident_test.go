package audit

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// The suspects are those that cleanlab finds.
func TestDoubtfulAgainstCleanlab(t *testing.T) {
	text, err := os.ReadFile("testdata/cleanlab_issues.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Labels        []int
		Probabilities [][]float32
		Issues        []int
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) != 3 {
		t.Fatal(len(cases), err)
	}
	for i, c := range cases {
		var all []Opinion
		disagree := 0
		for k, label := range c.Labels {
			o := opinion(k, label, c.Probabilities[k])
			if all = append(all, o); o.Likeliest != label {
				disagree++
			}
		}
		got := numbers(t, Doubtful(names(len(c.Probabilities[0])), all))
		if !slices.Equal(got, c.Issues) {
			t.Errorf("case %d: %v, and cleanlab finds %v", i, got, c.Issues)
		}
		if len(got) == 0 || len(got) >= disagree {
			t.Errorf("case %d: %d suspects of %d disagreements", i, len(got), disagree)
		}
	}
}

// opinion is one about image k.
func opinion(k, label int, p []float32) Opinion {
	best := 0
	for j := range p {
		if p[j] > p[best] {
			best = j
		}
	}
	return Opinion{Name: fmt.Sprint(k), Label: label, Likeliest: best, Probabilities: p}
}

// names are those of so many classes.
func names(classes int) (list []string) {
	for i := range classes {
		list = append(list, "class "+fmt.Sprint(i))
	}
	return list
}

// numbers returns the images of suspects, in ascending order.
func numbers(t *testing.T, suspects []Suspect) (list []int) {
	t.Helper()
	for _, s := range suspects {
		k := 0
		if _, err := fmt.Sscan(s.Name, &k); err != nil {
			t.Fatal(err)
		}
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// One label in twenty is wrong, and the classifier is right about two thirds of the images: few of
// the wrong labels are missed, and far fewer right ones are listed than it disagrees with.
func TestDoubtfulFindsFlippedLabels(t *testing.T) {
	const n, classes = 4000, 10
	r := rand.New(rand.NewPCG(1, 1))
	var all []Opinion
	flipped := map[int]bool{}
	for k := range n {
		truth := k % classes
		label := truth
		if r.Float64() < 0.05 {
			label, flipped[k] = (truth+1+r.IntN(classes-1))%classes, true
		}
		p, sum := make([]float32, classes), float32(0)
		for j := range p {
			z := 1.3 * r.NormFloat64()
			if j == truth {
				z += 2.6
			}
			p[j] = float32(math.Exp(z))
			sum += p[j]
		}
		for j := range p {
			p[j] /= sum
		}
		all = append(all, opinion(k, label, p))
	}
	disagree, found := 0, 0
	for _, o := range all {
		if o.Likeliest != o.Label {
			disagree++
		}
	}
	got := numbers(t, Doubtful(names(classes), all))
	for _, k := range got {
		if flipped[k] {
			found++
		}
	}
	recall, precision := float64(found)/float64(len(flipped)), float64(found)/float64(len(got))
	t.Logf("%d flipped, %d disagreements, %d listed: recall %.3f, precision %.3f", len(flipped), disagree, len(got), recall, precision)
	if recall < 0.84 || precision < 0.25 || 2*len(got) > disagree+len(flipped) {
		t.Errorf("%d of %d disagreements are listed: recall %.3f, precision %.3f", len(got), disagree, recall, precision)
	}
}

// The images trained on are judged by thresholds of their own, and an image without finite probabilities is
// always a suspect.
func TestDoubtfulByPart(t *testing.T) {
	sure := func(part string, label, class int, p float32) Opinion {
		probabilities := []float32{1 - p, 1 - p}
		probabilities[class] = p
		return Opinion{Name: part, Part: part, Label: label, Likeliest: class, Probabilities: probabilities}
	}
	all := []Opinion{
		sure("train", 0, 0, 0.99), sure("train", 1, 1, 0.99), sure("train", 0, 1, 0.6), // 0.6 is little among the images trained on
		sure("test", 0, 0, 0.55), sure("test", 1, 1, 0.55), sure("test", 0, 1, 0.6),
	}
	nan := float32(math.NaN())
	all = append(all, Opinion{Name: "broken", Part: "test", Label: 1, Probabilities: []float32{nan, nan}})
	var got []string
	for _, s := range Doubtful(names(2), all) {
		got = append(got, s.Name)
	}
	if !slices.Equal(got, []string{"broken", "test"}) {
		t.Errorf("suspects of %q", got)
	}
	alone := append(all[:2:2], sure(New, 0, 1, 0.999)) // the only image that is not of the run
	if list := Doubtful(names(2), alone); len(list) != 1 || list[0].Name != New {
		t.Errorf("suspects %+v, want the new image", list)
	}
}

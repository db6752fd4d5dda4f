package models_test

import (
	"strings"
	"testing"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// A stem divides the size of the first maps, and the parameters of the variant are counted right for any
// number of channels. The names lead back to the variant.
func TestStems(t *testing.T) {
	for _, name := range []string{"resnet18", "preresnet18", "resnet9-16"} {
		base, err := models.Lookup(name)
		if err != nil || !base.Stems() {
			t.Fatalf("%s has no choice of stems (%v)", name, err)
		}
		for _, stem := range []int{1, 2, 4} {
			e, err := base.WithStem(stem)
			if err != nil {
				t.Fatal(err)
			}
			again, err := models.Lookup(e.Name)
			if err != nil || again.Name != e.Name || again.Height != e.Height || again.Params != e.Params {
				t.Errorf("%s is found as %s with %d parameters at %d (%v), and is made with %d at %d", e.Name, again.Name, again.Params, again.Height, err, e.Params, e.Height)
			}
			for _, channels := range []int{1, 3} {
				c := models.Config{Channels: channels, Classes: 7}
				s, err := nn.Summary(e.New(c), tensor.Shape{1, channels, 64, 64})
				if err != nil {
					t.Fatal(err)
				}
				if s.Params != e.Count(c) {
					t.Errorf("%s with %d channels has %d parameters, counted as %d", e.Name, channels, s.Params, e.Count(c))
				}
				for _, l := range s.Rows {
					if strings.HasPrefix(l.Path, "layer1") {
						if first := l.Output[2]; name != "resnet9-16" && first != 64/stem {
							t.Errorf("%s makes %d pixels of 64 in %s, not %d", e.Name, first, l.Path, 64/stem)
						}
						break
					}
				}
			}
			other, err := e.WithStem(2)
			if err != nil || other.Height != base.Height*2/own(name) {
				t.Errorf("%s with another stem is made for %d pixels (%v)", e.Name, other.Height, err)
			}
		}
	}
	lenet, _ := models.Lookup("d2l-bnlenet")
	if _, err := lenet.WithStem(1); err == nil || !strings.Contains(err.Error(), "no choice of stems") {
		t.Errorf("d2l-bnlenet with a stem: %v", err)
	}
	if _, err := models.Lookup("d2l-bnlenet-s2"); err == nil || !strings.Contains(err.Error(), "no choice of stems") {
		t.Errorf("d2l-bnlenet-s2: %v", err)
	}
	if _, err := models.Lookup("resnet81-s2"); err == nil || !strings.Contains(err.Error(), "resnet18") {
		t.Errorf("resnet81-s2: %v", err)
	}
}

func own(name string) int {
	if name == "resnet9-16" {
		return 1
	}
	return 4
}

func TestStemFor(t *testing.T) {
	for size, want := range map[int]int{28: 1, 40: 1, 48: 2, 64: 2, 128: 2, 160: 4, 224: 4} {
		if got := models.StemFor(size); got != want {
			t.Errorf("%d pixels get a stem of %d, not %d", size, got, want)
		}
	}
}

package transforms

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// The expected values are computed by hand: 3/4 of each image and 1/4 of the one before it,
// and the same for the labels.
func TestMixup(t *testing.T) {
	images := tensor.FromSlice([]float32{0, 4, 8, 12, 16, 20}, 3, 1, 1, 2)
	x := Mix{Lambda: 0.75}
	x.Images(images)
	if want := []float32{4, 8, 6, 10, 14, 18}; !slices.Equal(images.Data(), want) {
		t.Errorf("%v, want %v", images.Data(), want)
	}
	if got, want := x.Targets([]int64{1, 0, 1}, 3).Data(), []float32{0, 1, 0, 0.75, 0.25, 0, 0.25, 0.75, 0}; !slices.Equal(got, want) {
		t.Errorf("targets %v, want %v", got, want)
	}
}

// The expected values follow torchvision's formula: half a side of the rectangle is
// sqrt(1-lambda)/2 of the side of the image, truncated to pixels, and Lambda is the area
// outside the clipped rectangle.
func TestCutMix(t *testing.T) {
	for _, c := range []struct {
		x, y   int
		lambda float64
		want   Mix
	}{
		{5, 4, 0.75, Mix{1 - 16.0/80, 2, 3, 4, 4}}, // half sides: 10/4 and 8/4, truncated to 2 and 2
		{0, 7, 0.75, Mix{1 - 6.0/80, 5, 0, 3, 2}},
		{5, 4, 1, Mix{1, 4, 5, 0, 0}},
		{5, 4, 0, Mix{0, 0, 0, 8, 10}},
	} {
		if got := cutMix(8, 10, c.x, c.y, c.lambda); got != c.want {
			t.Errorf("(%d, %d) %v: %+v, want %+v", c.x, c.y, c.lambda, got, c.want)
		}
	}
	images := tensor.New(3, 2, 8, 10)
	for i := range images.Data() {
		images.Data()[i] = float32(i / 160 * 10)
	}
	x := cutMix(8, 10, 0, 7, 0.75)
	x.Images(images)
	for i, v := range images.Data() {
		n, py, px := i/160, i/10%8, i%10
		want := float32(n * 10)
		if py >= 5 && px < 2 {
			want = float32((n + 2) % 3 * 10)
		}
		if v != want {
			t.Fatalf("image %d (%d, %d): %v, want %v", n, py, px, v, want)
		}
	}
	row := x.Targets([]int64{0, 1}, 2).Data()
	if math.Abs(float64(row[0])-(1-6.0/80)) > 1e-6 || math.Abs(float64(row[1])-6.0/80) > 1e-6 {
		t.Errorf("targets %v", row)
	}
}

// Beta(a, a) has mean 1/2 and variance 1/(4(2a+1)).
func TestBeta(t *testing.T) {
	const n = 4000
	for _, alpha := range []float64{0.1, 0.2, 1, 4} {
		sum, squares := 0.0, 0.0
		for i := range n {
			var l Rand
			l.Batch(1, 0, i)
			v := Mixup{Alpha: alpha}.Draw(1, 1, &l).Lambda
			if !(v >= 0 && v <= 1) {
				t.Fatalf("alpha %v: %v", alpha, v)
			}
			sum, squares = sum+v, squares+(v-0.5)*(v-0.5)
		}
		want := 1 / (4 * (2*alpha + 1))
		if math.Abs(sum/n-0.5) > 0.03 || math.Abs(squares/n-want) > 0.06*want+0.002 {
			t.Errorf("alpha %v: mean %v and variance %v, want 0.5 and %v", alpha, sum/n, squares/n, want)
		}
	}
}

func TestRandomChoice(t *testing.T) {
	counts := map[string]int{}
	for i := range 1000 {
		var l Rand
		l.Batch(1, 0, i)
		x := RandomChoice{Of: []BatchTransform{Mixup{Alpha: 0.2}, CutMix{}}, P: 0.8}.Draw(32, 32, &l)
		switch {
		case x == Mix{Lambda: 1}:
			counts["as it is"]++
		case x.Height > 0:
			counts["cut"]++
		default:
			counts["blended"]++
		}
	}
	if a, c, b := counts["as it is"], counts["cut"], counts["blended"]; a < 150 || a > 280 || c < 320 || b < 320 {
		t.Errorf("%v", counts)
	}
	images := tensor.FromSlice([]float32{1, 2}, 2, 1, 1, 1)
	RandomChoice{}.Draw(1, 1, randomFor(0)).Images(images)
	if !slices.Equal(images.Data(), []float32{1, 2}) {
		t.Errorf("no transforms changed a batch: %v", images.Data())
	}
}

func TestMixPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"three axes": func() { Mix{Lambda: 0.5}.Images(tensor.New(2, 3, 4)) },
		"outside":    func() { Mix{Lambda: 0.5, Height: 5, Width: 1}.Images(tensor.New(2, 1, 4, 4)) },
		"label":      func() { Mix{Lambda: 0.5}.Targets([]int64{3}, 3) },
		"alpha":      func() { Mixup{Alpha: -1}.Draw(1, 1, randomFor(0)) },
	} {
		func() {
			defer func() {
				if s := fmt.Sprint(recover()); s == "<nil>" {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

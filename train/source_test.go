package train

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine/cpu"
)

// clouds returns features of images around a point for each class, so far apart.
func clouds(n, size, classes int, apart float64) *featureSet {
	r := rand.New(rand.NewPCG(1, 2))
	f := &featureSet{size: size}
	for i := range n {
		for k := range size {
			v := r.NormFloat64()
			if k%classes == i%classes {
				v += apart
			}
			f.values = append(f.values, float32(v))
		}
		f.labels = append(f.labels, i%classes)
	}
	return f
}

// Classes that are far apart are told from each other, and noise is not. Without any image the
// answer is that of a fit to all others.
func TestSeparable(t *testing.T) {
	if got := clouds(60, 9, 3, 6).separable(3); got != 1 {
		t.Errorf("of distant classes %v are right", got)
	}
	if got := clouds(300, 9, 3, 0).separable(3); got > 0.45 {
		t.Errorf("of noise %v are right", got)
	}
	f := clouds(24, 4, 3, 1)
	n, kernel := len(f.labels), f.kernel()
	best := 0
	for _, ridge := range []float64{0.01, 0.1, 1, 10} {
		hits := 0
		for out := range n {
			var rest []int
			for i := range n {
				if i != out {
					rest = append(rest, i)
				}
			}
			m := len(rest)
			part := make([]float64, m*m)
			for i, a := range rest {
				for j, b := range rest {
					part[i*m+j] = kernel[a*n+b]
				}
			}
			inverse := inverted(part, m, ridge)
			scores := make([]float64, 3)
			for i, a := range rest {
				for j, b := range rest {
					scores[f.labels[b]] += kernel[out*n+a] * inverse[i*m+j]
				}
			}
			at := 0
			for k, v := range scores {
				if v > scores[at] {
					at = k
				}
			}
			if at == f.labels[out] {
				hits++
			}
		}
		best = max(best, hits)
	}
	if got := f.separable(3) * float64(n); int(got+0.5) != best {
		t.Errorf("%v images are right without themselves, want %d", got, best)
	}
	f.values[3] = float32(math.NaN())
	if got := f.separable(3); got != 0 {
		t.Errorf("of features that are not finite %v are right", got)
	}
}

// renamed is a data set with other names for its classes.
type renamed struct{ data.Dataset }

func (r renamed) Info() data.Info {
	info := r.Dataset.Info()
	info.Classes = slices.Clone(info.Classes)
	for i := range info.Classes {
		info.Classes[i] = "other " + info.Classes[i]
	}
	return info
}

// A training says what it took of a file, and whether the file's features help.
func TestSource(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	set := func(split data.Split, n int) data.Dataset {
		ds, err := data.Open(context.Background(), "garments", data.Options{Split: split, Size: n})
		if err != nil {
			t.Fatal(err)
		}
		return ds
	}
	c := Config{Data: "garments", Model: "cifar-resnet8", TrainSize: 2000, TestSize: 100, Batch: 32, Epochs: 2, LR: 0.1, Momentum: 0.9, Resize: 14, Precision: "fp32", Out: t.TempDir()}
	trained, err := Run(context.Background(), dev, c, Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	source := func(c Config) *Source {
		var s *Source
		err := Rehearse(context.Background(), dev, c, Callbacks{OnStart: func(st Start) { s = st.Source }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := source(c); s != nil {
		t.Errorf("without a file: %+v", s)
	}
	same := c
	same.Weights = trained.Last
	all := int64(75_002) // those of a first layer for grey images
	if s := source(same); s == nil || s.New != 0 || s.Kept != all || s.Head != "" || !s.Helps() {
		t.Errorf("for the same classes: %+v", s)
	}
	other := same
	other.Data, other.TrainSize, other.TestSize = "", 0, 0
	other.Own = Own{TrainSet: renamed{set(data.Train, 300)}, TestSet: renamed{set(data.Test, 100)}}
	s := source(other)
	if s == nil || s.New != 650 || s.Kept != all-650 || s.Head != "fc" || s.Images != 300 || !s.Helps() {
		t.Errorf("for other classes: %+v", s)
	}
	// Weights that were not trained are like new ones.
	c.LR, c.Epochs, c.TrainSize, c.Seed = 1e-30, 1, 100, 9
	if trained, err = Run(context.Background(), dev, c, Callbacks{}); err != nil {
		t.Fatal(err)
	}
	other.Weights = trained.Last
	if s := source(other); s == nil || s.Helps() {
		t.Errorf("of weights that were not trained: %+v", s)
	}
}

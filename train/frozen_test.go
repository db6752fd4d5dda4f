package train_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train"
)

// With a frozen backbone and no augmentation a training computes the features of the images once,
// and ends with the weights of one that computes them in every step. It is resumed with the same bits.
func TestFrozenBackbone(t *testing.T) {
	c := brief(t.TempDir(), "fp32")
	c.Model, c.Resize = "cifar-resnet8", 14
	source, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	c.Weights, c.Freeze, c.EMA, c.Repeat, c.Seed = source.Last, train.FreezeBackbone, 0.9, 2, 4
	run := func(c train.Config) (train.Summary, train.Start) {
		var start train.Start
		s, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{OnStart: func(s train.Start) { start = s }})
		if err != nil {
			t.Fatal(err)
		}
		return s, start
	}
	once, start := run(c)
	if !start.Probe || start.Batches != 13 {
		t.Errorf("a probe: %v; %d batches in an epoch, want 13", start.Probe, start.Batches)
	}
	c.Own.Transform = transforms.Compose{} // any transform may change the images
	each, start := run(c)
	if start.Probe {
		t.Error("a probe in spite of a transform")
	}
	before, a, b := values(t, source.Last), values(t, once.Last), values(t, each.Last)
	for name, v := range b {
		if !strings.HasPrefix(name, "fc.") {
			if !slices.Equal(a[name].Data(), before[name].Data()) || !slices.Equal(v.Data(), before[name].Data()) {
				t.Errorf("%s was frozen, and it changed", name)
			}
			continue
		}
		if off := furthest(a[name], v); !(off < 1e-4) || slices.Equal(v.Data(), before[name].Data()) {
			t.Errorf("%s differs by %v", name, off)
		}
	}
	if math.Abs(once.TestAccuracy-each.TestAccuracy) > 0.02 {
		t.Errorf("test accuracies of %v and %v", once.TestAccuracy, each.TestAccuracy)
	}
	c.Own = train.Own{}
	stopped := stopAt(t, c, 1, 20)
	again := resume(t, stopped.Dir, 2, train.Callbacks{})
	for name, v := range values(t, again.Last) {
		if !slices.Equal(v.Data(), a[name].Data()) {
			t.Errorf("%s has other bits after a resumption", name)
		}
	}
}

// furthest returns the largest difference between two tensors.
func furthest(a, b *tensor.Tensor) (most float64) {
	for i, v := range a.Data() {
		most = max(most, math.Abs(float64(v-b.Data()[i])))
	}
	return most
}

package cpu

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/tensor"
)

// Weights lie in the device's memory as the strides of their layout say, for every kernel, and come
// back as they were.
func TestWeightUpload(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 9))
	for _, isa := range kernel.Available() {
		dev, err := New(Options{Threads: 2, ISA: &isa})
		if err != nil {
			t.Fatal(err)
		}
		for _, shape := range []tensor.Shape{{1, 1, 1, 1}, {64, 3, 7, 7}, {33, 31, 3, 3}, {40, 1, 3, 3}, {5, 300, 1, 1}, {130, 70, 1, 3}, {10, 512}, {31, 7}} {
			v := &engine.Value{Shape: shape, Layout: engine.ConvWeight}
			if len(shape) == 2 {
				v.Layout = engine.LinearWeight
			}
			src := conformance.Random(rng, shape...)
			got, want := alloc(v.Numel()+1), alloc(v.Numel())
			got[v.Numel()] = 7
			permute(want, v.Layout.Strides(shape), src.Data(), shape.Strides(), shape)
			dev.Upload(got, v, src)
			if !slices.Equal(got[:v.Numel()], want) || got[v.Numel()] != 7 {
				t.Errorf("%v: weights of %v are not in the order of %v", isa, shape, v.Layout)
			}
			back := tensor.New(shape...)
			dev.Download(back, got, v)
			if !slices.Equal(back.Data(), src.Data()) {
				t.Errorf("%v: weights of %v came back changed", isa, shape)
			}
		}
		dev.Close()
	}
}

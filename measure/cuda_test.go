//go:build cuda && !windows

package measure

import (
	"context"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine/cuda"
	"github.com/residual-ml/residual/engine/cuda/emulate"
	"github.com/residual-ml/residual/tensor"
)

// TestUint8BatchesFeedCUDA: the uint8 batches that are sent while the device computes give the
// logits that the loader's float32 images give, also in the second epoch.
func TestUint8BatchesFeedCUDA(t *testing.T) {
	dev, _ := emulate.Open(t, cuda.New)
	ctx := context.Background()
	ds, err := data.Open(ctx, "garments", data.Options{Size: 10})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Model: entry(t, "d2l-bnlenet"), Mode: Infer, Batch: 4}
	w, other := workload(t, c, dev), workload(t, c, dev)
	if err := w.FeedLoader(ctx, ds, "garments"); err != nil {
		t.Fatal(err)
	}
	loader, err := data.NewLoader(ds, data.LoaderConfig{Batch: 4, Shuffle: true, DropLast: true})
	if err != nil {
		t.Fatal(err)
	}
	images := batches{ctx: ctx, loader: loader}
	defer images.close()
	for step := range 3 { // an epoch has two batches
		if err := w.Step(); err != nil {
			t.Fatal(err)
		}
		b, err := images.next()
		if err != nil {
			t.Fatal(err)
		}
		want := tensor.New(other.output.Shape...)
		if err := other.program.Feed(other.images, b.Images); err != nil {
			t.Fatal(err)
		}
		b.Release()
		if err := other.program.Run(1); err != nil {
			t.Fatal(err)
		}
		other.program.Read(other.output, want)
		if !slices.Equal(w.result.Data(), want.Data()) {
			t.Errorf("step %d: the logits of uint8 batches are %v, and of images %v", step, w.result.Data()[:4], want.Data()[:4])
		}
	}
	if r := w.Describe(); r.Threads != 0 || r.Kernels == "" {
		t.Errorf("a GPU has %d threads and is described by %q", r.Threads, r.Kernels)
	}
}

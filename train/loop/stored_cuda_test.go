//go:build cuda && !windows

package loop_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/train/loop"
)

// Training on uint8 batches, whose images the device resizes and normalises, gives the same
// bits as training on float32 batches: with images enlarged, made smaller, unchanged, and
// transformed by the loader; with a last batch that is not full, in both orders of threads.
func TestBytesTrainAsImagesOnCUDA(t *testing.T) {
	for _, c := range []struct {
		size      int
		transform transforms.Transform
		precision engine.Precision
	}{
		{0, nil, engine.FP32}, {37, nil, engine.FP32}, {19, nil, engine.BF16},
		{31, transforms.Compose{transforms.Resize{Height: 31, Width: 31}, transforms.RandomCrop{Size: 31, Padding: 2}}, engine.FP32},
	} {
		t.Run(fmt.Sprint(c.size, c.transform != nil), func(t *testing.T) {
			d, gpu := emulated(t)
			ds := data.Resize(garments(t, data.Train, 44), c.size)
			info := ds.Info()
			o := loop.Options{
				Batch: 8, Epochs: 2, Seed: 3, Optimizer: optim.SGD{Momentum: 0.9}, Schedule: optim.Constant{Base: 0.05}, Transform: c.transform, Precision: c.precision,
				Normalize: transforms.Normalize{Mean: []float64{0.3}, Std: []float64{0.4}},
			}
			net := func() nn.Module {
				m := nn.Sequential{nn.NewConv2d(1, 3, 5, nn.Conv{Stride: 3}), nn.ReLU{}, nn.Flatten{}, nn.NewLinear(3*((info.Height-5)/3+1)*((info.Width-5)/3+1), 10)}
				nn.Init(m, 7, nn.XavierUniform)
				return m
			}
			ours, want := net(), net()
			gpu.Backward = true
			tr, err := loop.New(d, ours, ds, nil, o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tr.Fit(context.Background(), loop.Events{}, nil); err != nil {
				t.Fatal(err)
			}
			gpu.Backward = false
			other, err := loop.New(d, want, ds, nil, o)
			if err != nil {
				t.Fatal(err)
			}
			loader, err := data.NewLoader(ds, data.LoaderConfig{Batch: 8, Shuffle: true, Seed: 3, Transform: c.transform, Normalize: o.Normalize})
			if err != nil {
				t.Fatal(err)
			}
			for epoch := 1; epoch <= 2; epoch++ {
				e := loader.Epoch(context.Background(), epoch)
				for {
					b, err := e.Next()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if _, _, err := other.Step(b.Images, b.Labels, 0.05); err != nil {
						t.Fatal(err)
					}
					b.Release()
				}
			}
			other.Store().Pull()
			values := nn.StateDict(want)
			for k, p := range nn.StateDict(ours) {
				if !slices.Equal(p.Tensor.Data(), values[k].Tensor.Data()) {
					t.Errorf("%s is another than of images", p.Name)
				}
			}
		})
	}
}

//go:build cuda && !windows

package forward_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda"
	"github.com/residual-ml/residual/engine/cuda/emulate"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/nn"
)

// Evaluating uint8 batches gives the same bits as float32 batches: with images resized on
// the device, not resized, or made smaller by the loader; with a last batch that is not full;
// and in a second evaluation with the compiled shapes of the first.
func TestBytesEvaluateAsImagesOnCUDA(t *testing.T) {
	ds, err := data.Open(context.Background(), "garments", data.Options{Split: data.Test, Size: 43})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		size      int
		precision engine.Precision
	}{{0, engine.FP32}, {37, engine.BF16}, {11, engine.FP32}} {
		t.Run(fmt.Sprint(c.size), func(t *testing.T) {
			d, _ := emulate.Open(t, cuda.New) // skips the test where there is no GPU to emulate
			ds := data.Resize(ds, c.size)
			info := ds.Info()
			m := nn.Sequential{nn.NewConv2d(1, 3, 5, nn.Conv{Stride: 3}), nn.ReLU{}, nn.Flatten{}, nn.NewLinear(3*((info.Height-5)/3+1)*((info.Width-5)/3+1), 10)}
			nn.Init(m, 7, nn.XavierUniform)
			r := forward.NewRunner(m, engine.NewStore(d), c.precision)
			evaluate := func(uint8s bool) (all []forward.Result) {
				l, err := data.NewLoader(ds, data.LoaderConfig{Batch: 16, Uint8: uint8s, Normalize: transforms.Normalize{Mean: []float64{0.3}, Std: []float64{0.4}}})
				if err != nil {
					t.Fatal(err)
				}
				if (l.Stored() != nil) != uint8s {
					t.Fatalf("batches are stored as %+v", l.Stored())
				}
				seen := 0
				for range 2 {
					got, err := forward.Evaluate(context.Background(), r, l, func(done, total int) { seen = done })
					if err != nil || seen != 43 {
						t.Fatalf("%d images, %v", seen, err)
					}
					got.ImagesPerSecond = 0
					all = append(all, got)
				}
				return all
			}
			images, bytes := evaluate(false), evaluate(true)
			if !reflect.DeepEqual(images, bytes) || !reflect.DeepEqual(bytes[0], bytes[1]) {
				t.Errorf("uint8 batches give %+v, float32 batches %+v", bytes, images)
			}
		})
	}
}

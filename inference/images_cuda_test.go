//go:build cuda && !windows

package inference_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda"
	"github.com/residual-ml/residual/engine/cuda/emulate"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// emulated opens a CUDA device on an emulated GPU, or on the one that emulate.Real names, or
// skips the test.
func emulated(t *testing.T) *cuda.Device {
	t.Helper()
	d, _ := emulate.Open(t, cuda.New)
	return d
}

// Evaluating uint8 batches gives the same bits as float32 batches: with images resized on
// the device, not resized, or made smaller by the loader; with a last batch that is not full;
// and in a second evaluation with the compiled shapes of the first.
func TestBytesEvaluateAsImagesOnCUDA(t *testing.T) {
	for _, c := range []struct {
		size      int
		precision engine.Precision
	}{{0, engine.FP32}, {37, engine.BF16}, {11, engine.FP32}} {
		t.Run(fmt.Sprint(c.size), func(t *testing.T) {
			d := emulated(t)
			ds := data.Resize(garments(t, 43), c.size)
			info := ds.Info()
			m := nn.Sequential{nn.NewConv2d(1, 3, 5, nn.Conv{Stride: 3}), nn.ReLU{}, nn.Flatten{}, nn.NewLinear(3*((info.Height-5)/3+1)*((info.Width-5)/3+1), 10)}
			nn.Init(m, 7, nn.XavierUniform)
			r := inference.NewRunner(m, engine.NewStore(d), c.precision)
			evaluate := func(bytes bool) (all []inference.Result) {
				l, err := data.NewLoader(ds, data.LoaderConfig{Batch: 16, Bytes: bytes, Normalize: transforms.Normalize{Mean: []float64{0.3}, Std: []float64{0.4}}})
				if err != nil {
					t.Fatal(err)
				}
				if (l.Stored() != nil) != bytes {
					t.Fatalf("batches are stored as %+v", l.Stored())
				}
				seen := 0
				for range 2 {
					got, err := inference.Evaluate(context.Background(), r, l, func(done, total int) { seen = done })
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

// uint8 batches are converted to the model's own scale, too.
func TestClassifierEvaluatesBytesOnCUDA(t *testing.T) {
	info := leNetInfo()
	info.Preprocess = prepare.Steps{NativeHeight: 28, NativeWidth: 28, Grey: true, Scale: 1, Mean: []float64{77}, Std: []float64{60}}
	_, path := save(t, info, nil)
	d := emulated(t)
	c, err := inference.Load(path, d, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	ds := garments(t, 21)
	var answers []inference.Answer
	_, err = c.EvaluateEach(context.Background(), ds, data.LoaderConfig{Batch: 8}, func(a inference.Answer) { answers = append(answers, a) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := data.NewLoader(ds, data.LoaderConfig{Batch: 21})
	if err != nil {
		t.Fatal(err)
	}
	e := l.Epoch(context.Background(), 0)
	defer e.Close()
	b, err := e.Next()
	if err != nil {
		t.Fatal(err)
	}
	c.Scale(b.Images)
	logits, err := c.Logits(b.Images)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		row := logits.Data()[10*i : 10*i+10]
		sum := 0.0
		for _, v := range row {
			sum += math.Exp(float64(v - row[a.Class]))
		}
		if a.Index != i || slices.Max(row) != row[a.Class] || math.Abs(a.Probability-1/sum) > 1e-6 {
			t.Errorf("image %d: %+v, with float32 batches %v", i, a, row)
		}
	}
	if len(answers) != 21 {
		t.Errorf("%d answers", len(answers))
	}
}

// brittle is a data set whose last image cannot be read.
type brittle struct{ data.Dataset }

func (b brittle) Get(i int, pix []uint8) (int, error) {
	if i == b.Len()-1 {
		return 0, errors.New("torn")
	}
	return b.Dataset.Get(i, pix)
}

// After an evaluation that ends early, no sent batch is left over: the next is complete.
func TestBytesAfterAnErrorOnCUDA(t *testing.T) {
	_, path := save(t, leNetInfo(), nil)
	c, err := inference.Load(path, emulated(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	ds, config := garments(t, 100), data.LoaderConfig{Batch: 5}
	want, err := c.Evaluate(context.Background(), ds, config, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Evaluate(context.Background(), brittle{ds}, config, nil); err == nil {
		t.Fatal("an unreadable image was evaluated")
	}
	ctx, stop := context.WithCancel(context.Background())
	if _, err := c.Evaluate(ctx, ds, config, func(done, _ int) {
		if done == 5 {
			stop()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	got, err := c.Evaluate(context.Background(), ds, config, nil)
	if err != nil || got.Loss != want.Loss || !reflect.DeepEqual(got.Confusion, want.Confusion) {
		t.Errorf("%+v after an error, %+v before it (%v)", got, want, err)
	}
}

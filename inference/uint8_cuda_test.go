//go:build cuda && !windows

package inference_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda"
	"github.com/residual-ml/residual/engine/cuda/emulate"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/prepare"
)

// emulated opens a CUDA device on an emulated GPU, or on the one that emulate.Real names, or
// skips the test.
func emulated(t *testing.T) *cuda.Device {
	t.Helper()
	d, _ := emulate.Open(t, cuda.New)
	return d
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

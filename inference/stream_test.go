package inference_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/prepare"
)

func numbered(n int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := range n {
			var err error
			if i%11 == 5 {
				err = errors.New("was not found")
			}
			if !yield(fmt.Sprint(i), err) {
				return
			}
		}
	}
}

// numberedImage returns the image of a number, in one of two sizes; every seventh cannot be
// read.
func numberedImage(name string) (image.Image, error) {
	var i int
	fmt.Sscan(name, &i)
	if i%7 == 3 {
		return nil, fmt.Errorf("image %d is broken", i)
	}
	img := image.NewGray(image.Rect(0, 0, 28+i%2*4, 28))
	for k := range img.Pix {
		img.Pix[k] = uint8(k*(i+3) + i)
	}
	return img, nil
}

// A stream gives the same predictions as Predict for every image, in order, also for a model
// that takes any size, whose images cannot always share a batch.
func TestPredictStream(t *testing.T) {
	anySize := leNetInfo()
	anySize.Architecture, anySize.Height, anySize.Width = "d2l-resnet18", 0, 0
	anySize.Preprocess = prepare.Steps{Grey: true}
	for _, info := range []checkpoint.Model{leNetInfo(), anySize} {
		_, path := save(t, info, nil)
		c, err := inference.Load(path, device(t), engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		n := 100
		if info.Height == 0 {
			n = 12
		}
		heard := 0
		err = c.PredictStream(context.Background(), numbered(n), numberedImage, 2, func(name string, ps []inference.Prediction, err error) error {
			if name != fmt.Sprint(heard) {
				t.Fatalf("answer %d is of %s", heard, name)
			}
			i := heard
			heard++
			switch img, broken := numberedImage(name); {
			case i%11 == 5:
				if err == nil || err.Error() != "was not found" {
					t.Errorf("%d: %v", i, err)
				}
			case broken != nil:
				if err == nil || err.Error() != broken.Error() {
					t.Errorf("%d: %v", i, err)
				}
			default:
				want, alone := c.Predict(t.Context(), img, 2)
				if err != nil || alone != nil || len(ps) != 2 {
					t.Fatal(i, ps, err, alone)
				}
				for k := range ps {
					if d := ps[k].Probability - want[k].Probability; ps[k].Index != want[k].Index || d > 1e-6 || d < -1e-6 {
						t.Errorf("%d: %v, alone %v", i, ps[k], want[k])
					}
				}
			}
			return nil
		})
		if err != nil || heard != n {
			t.Errorf("%d of %d answers, %v", heard, n, err)
		}
	}
}

// An endless stream ends when each returns an error and when the context ends, and never
// reads far ahead.
func TestPredictStreamEnds(t *testing.T) {
	_, path := save(t, leNetInfo(), nil)
	c, err := inference.Load(path, device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int64
	open := func(name string) (image.Image, error) {
		opened.Add(1)
		return numberedImage(name)
	}
	heard := 0
	enough := errors.New("enough")
	err = c.PredictStream(context.Background(), numbered(1<<30), open, 1, func(string, []inference.Prediction, error) error {
		if heard++; heard == 70 {
			return enough
		}
		return nil
	})
	if err != enough || heard != 70 || opened.Load() > 70+300 {
		t.Errorf("%v after %d answers, %d images read", err, heard, opened.Load())
	}
	ctx, stop := context.WithCancel(context.Background())
	err = c.PredictStream(ctx, numbered(1<<30), open, 1, func(string, []inference.Prediction, error) error { stop(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
	// A list that waits for its next name, as a terminal's does, does not block the return.
	ctx, stop = context.WithCancel(context.Background())
	wait := make(chan struct{})
	defer close(wait)
	err = c.PredictStream(ctx, func(yield func(string, error) bool) {
		yield("1", nil)
		stop()
		<-wait
	}, open, 1, func(string, []inference.Prediction, error) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("while a list waits: %v", err)
	}
	err = c.PredictStream(context.Background(), numbered(0), open, 1, func(string, []inference.Prediction, error) error { return enough })
	if err != nil {
		t.Errorf("without images: %v", err)
	}
	colour := leNetInfo()
	colour.Channels, colour.Preprocess = 5, prepare.Steps{}
	_, path = save(t, colour, nil)
	if c, err = inference.Load(path, device(t), engine.FP32); err != nil {
		t.Fatal(err)
	}
	err = c.PredictStream(context.Background(), numbered(1), numberedImage, 1, func(_ string, _ []inference.Prediction, err error) error { return err })
	if err == nil || !strings.HasPrefix(err.Error(), "0: ") || !strings.Contains(err.Error(), "5 channels") {
		t.Errorf("a model of 5 channels: %v", err)
	}
}

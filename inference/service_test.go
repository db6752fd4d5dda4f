package inference_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/task"
)

// opened returns the classifier of a small residual network.
func opened(t testing.TB, dev engine.Device, p engine.Precision) *inference.Classifier {
	t.Helper()
	return classifierOf(t, presetInfo(), dev, p)
}

func classifierOf(t testing.TB, info checkpoint.Model, dev engine.Device, p engine.Precision) *inference.Classifier {
	t.Helper()
	_, path := save(t, info, nil)
	c, err := inference.Load(path, dev, p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// encoded returns an image as a PNG file.
func encoded(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A hundred goroutines that give images in every way get the bits that each image has alone, in
// both precisions and for any number of threads. The race detector finds memory that they share
// by mistake.
func TestHundredGoroutines(t *testing.T) {
	const goroutines, rounds, kinds = 100, 3, 13
	images, files, paths := make([]image.Image, kinds), make([][]byte, kinds), make([]string, kinds)
	dir := t.TempDir()
	for i := range images {
		images[i] = painted(uint64(i), 30+i, 28)
		files[i], paths[i] = encoded(t, images[i]), filepath.Join(dir, fmt.Sprint(i, ".png"))
		if err := os.WriteFile(paths[i], files[i], 0o666); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	for _, p := range []engine.Precision{engine.FP32, engine.BF16} {
		want := make([][]inference.Prediction, kinds)
		vectors := make([][]float32, kinds)
		for _, threads := range []int{1, 2, 3} {
			dev, err := cpu.New(cpu.Options{Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			c := opened(t, dev, p)
			e, err := c.Embedder(inference.EmbedConfig{})
			if err != nil {
				t.Fatal(err)
			}
			if threads == 1 {
				for i, img := range images {
					if want[i], err = c.Predict(ctx, img, 0); err != nil {
						t.Fatal(err)
					}
					if vectors[i], err = e.Embed(ctx, img); err != nil {
						t.Fatal(err)
					}
				}
			} else if err := c.Warm(ctx); err != nil {
				t.Fatal(err)
			}
			ways := []func(i int) (any, error){
				func(i int) (any, error) { return c.Predict(ctx, images[i], 0) },
				func(i int) (any, error) { return c.PredictReader(ctx, bytes.NewReader(files[i]), 0) },
				func(i int) (any, error) { return c.PredictBytes(ctx, files[i], 0) },
				func(i int) (any, error) { return c.PredictFile(ctx, paths[i], 0) },
				func(i int) (any, error) { return e.EmbedReader(ctx, bytes.NewReader(files[i])) },
				func(i int) (any, error) {
					all, err := c.PredictAll(ctx, []image.Image{images[0], images[i], images[1]}, 0)
					if err != nil {
						return nil, err
					}
					return all[1], nil
				},
			}
			var all sync.WaitGroup
			for g := range goroutines {
				all.Go(func() {
					for r := range rounds {
						i, way := (g*5+r)%kinds, (g+r)%len(ways)
						right := any(want[i])
						if way == 4 {
							right = vectors[i]
						}
						if got, err := ways[way](i); err != nil || !reflect.DeepEqual(got, right) {
							t.Errorf("%v, %d threads, way %d, image %d: %v (%v), alone %v", p, threads, way, i, got, err, right)
						}
					}
				})
			}
			all.Wait()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			dev.Close()
		}
	}
}

// Values and labels are answered to concurrent calls as to one.
func TestConcurrentValuesAndLabels(t *testing.T) {
	for _, of := range []task.Targets{
		{Task: task.Labels, Names: []string{"red", "round", "new"}},
		{Task: task.Values, Names: []string{"age", "price", "weight"}, Mean: []float64{40, 5000, 0.5}, Std: []float64{10, 900, 0.01}},
	} {
		_, _, paths := answering(t, of)
		c, err := inference.Load(paths[0], device(t), engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		content := encoded(t, painted(3, 28, 28))
		ask := func(i int) (any, error) {
			switch {
			case of.Task == task.Labels:
				return c.PredictBytes(t.Context(), content, 0)
			case i%2 == 0:
				return c.ValuesOfBytes(t.Context(), content)
			}
			return c.ValuesOfReader(t.Context(), bytes.NewReader(content))
		}
		want, err := ask(0)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				if got, err := ask(i); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%v: %v (%v), alone %v", of.Task, got, err, want)
				}
			})
		}
		all.Wait()
	}
}

// What a caller may get wrong is an error that says what it is, and the next call is answered.
func TestWrongCalls(t *testing.T) {
	c := opened(t, device(t), engine.FP32)
	c.Decoding.MaxPixels, c.Decoding.MaxFileBytes = 2000, 100_000
	img := painted(1, 30, 28)
	content := encoded(t, img)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var none *image.RGBA
	for _, k := range []struct {
		name    string
		ask     func() ([]inference.Prediction, error)
		blames  bool // the error is about the image
		mention string
	}{
		{"nil image", func() ([]inference.Prediction, error) { return c.Predict(t.Context(), nil, 1) }, true, "the image is nil"},
		{"nil pointer", func() ([]inference.Prediction, error) { return c.Predict(t.Context(), none, 1) }, true, "the image is nil (*image.RGBA)"},
		{"empty image", func() ([]inference.Prediction, error) { return c.Predict(t.Context(), &image.Gray{}, 1) }, true, "has no pixels"},
		{"nil reader", func() ([]inference.Prediction, error) { return c.PredictReader(t.Context(), nil, 1) }, true, "the reader is nil"},
		{"no bytes", func() ([]inference.Prediction, error) { return c.PredictBytes(t.Context(), nil, 1) }, true, "the image is empty"},
		{"text", func() ([]inference.Prediction, error) {
			return c.PredictReader(t.Context(), strings.NewReader("no image at all"), 1)
		}, true, "the image "},
		{"cut short", func() ([]inference.Prediction, error) {
			return c.PredictBytes(t.Context(), content[:len(content)/2], 1)
		}, true, "cut short"},
		{"too many pixels", func() ([]inference.Prediction, error) {
			return c.PredictBytes(t.Context(), encoded(t, image.NewGray(image.Rect(0, 0, 50, 50))), 1)
		}, true, "50x50 are 2500 pixels, where 2000 pixels are possible"},
		{"too many bytes", func() ([]inference.Prediction, error) {
			return c.PredictReader(t.Context(), bytes.NewReader(make([]byte, 100_001)), 1)
		}, true, "more than the 100000 bytes"},
		{"reader fails", func() ([]inference.Prediction, error) {
			return c.PredictReader(t.Context(), iotest.ErrReader(errors.New("connection lost")), 1)
		}, false, "connection lost"},
		{"missing file", func() ([]inference.Prediction, error) { return c.PredictFile(t.Context(), "missing.png", 1) }, false, "missing.png"},
		{"ended context", func() ([]inference.Prediction, error) { return c.Predict(ended, img, 1) }, false, context.Canceled.Error()},
	} {
		_, err := k.ask()
		blame := errors.As(err, new(*inference.ImageError))
		if err == nil || !strings.Contains(err.Error(), k.mention) || blame != k.blames {
			t.Errorf("%s: %v (about the image: %t)", k.name, err, blame)
		}
		if _, err := c.Predict(t.Context(), img, 1); err != nil {
			t.Errorf("after %s: %v", k.name, err)
		}
	}
	if large := new(*photo.TooLargeError); !errors.As(mustFail(c.PredictBytes(t.Context(), encoded(t, image.NewGray(image.Rect(0, 0, 99, 99))), 1)), large) {
		t.Error("too many pixels are no TooLargeError")
	}
}

func mustFail(_ []inference.Prediction, err error) error { return err }

// A classifier on a closed device returns an error.
func TestClosedDevice(t *testing.T) {
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	c := opened(t, dev, engine.FP32)
	for range 2 { // before and after the first answer
		if _, err := c.Predict(t.Context(), painted(1, 30, 28), 1); (err != nil) != (dev.Err() != nil) {
			t.Errorf("got %v", err)
		} else if err != nil && !strings.Contains(err.Error(), "the device cpu is closed") {
			t.Errorf("got %v", err)
		}
		dev.Close()
	}
}

// Close waits for the calls that are running. Later calls, also of those that share memory, are
// errors.
func TestCloseClassifier(t *testing.T) {
	c := opened(t, device(t), engine.FP32)
	e, err := c.Embedder(inference.EmbedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	img := painted(1, 30, 28)
	other := c.Replaced(c.Module(), c.Info())
	begun, going, closed := make(chan struct{}), make(chan struct{}), make(chan error)
	finished := make(chan error, 1)
	go func() {
		finished <- c.PredictStream(context.Background(), numbered(1), func(string) (image.Image, error) {
			close(begun)
			<-going
			return img, nil
		}, 1, func(_ string, _ []inference.Prediction, err error) error { return err })
	}()
	<-begun
	go func() { closed <- c.Close() }()
	for { // until Close has begun
		if _, err := c.Predict(t.Context(), img, 1); errors.Is(err, inference.ErrClosed) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case <-closed:
		t.Error("Close did not wait for the call that runs")
	default:
	}
	close(going)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := <-finished; err != nil {
		t.Errorf("the call that was running failed: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	x, err := c.Prepare([]image.Image{img})
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Predict":     func() error { _, err := c.Predict(t.Context(), img, 1); return err },
		"PredictAll":  func() error { _, err := c.PredictAll(t.Context(), []image.Image{img}, 1); return err },
		"Values":      func() error { _, err := c.Values(t.Context(), img); return err },
		"Logits":      func() error { _, err := c.Logits(x); return err },
		"GradCAM":     func() error { _, err := c.GradCAM(img, 0); return err },
		"Saliency":    func() error { _, err := c.Saliency(img, 0); return err },
		"Warm":        func() error { return c.Warm(t.Context()) },
		"Embed":       func() error { _, err := e.Embed(t.Context(), img); return err },
		"With":        func() error { _, err := c.With(c.Module()).Predict(t.Context(), img, 1); return err },
		"PredictFile": func() error { _, err := c.PredictFile(t.Context(), "testdata/photo.png", 1); return err },
	} {
		if err := call(); !errors.Is(err, inference.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if _, err := other.Predict(t.Context(), img, 1); err != nil {
		t.Errorf("a classifier with memory of its own: %v", err)
	}
}

// The throughput of 32 goroutines that classify images by one classifier, as a fraction of that of
// batches of 32, in turns.
func BenchmarkGoroutines(b *testing.B) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer dev.Close()
	info := presetInfo()
	info.Architecture, info.Height, info.Width, info.Preprocess = "resnet18", 96, 96, prepare.Steps{NativeHeight: 96, NativeWidth: 96}
	c := classifierOf(b, info, dev, dev.Preferred(engine.Inference))
	defer c.Close()
	if err := c.Warm(b.Context()); err != nil {
		b.Fatal(err)
	}
	images := make([]image.Image, 32)
	for i := range images {
		images[i] = painted(uint64(i), 96, 96)
	}
	const rounds = 4
	var single, batched, together time.Duration
	for b.Loop() {
		start := time.Now()
		for range rounds {
			if _, err := c.PredictAll(b.Context(), images, 1); err != nil {
				b.Fatal(err)
			}
		}
		batched += time.Since(start)
		start = time.Now()
		var all sync.WaitGroup
		for _, img := range images {
			all.Go(func() {
				for range rounds {
					if _, err := c.Predict(b.Context(), img, 1); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
		together += time.Since(start)
		start = time.Now()
		if _, err := c.Predict(b.Context(), images[0], 1); err != nil {
			b.Fatal(err)
		}
		single += time.Since(start)
	}
	b.ReportMetric(float64(rounds*32*b.N)/together.Seconds(), "images/s")
	b.ReportMetric(batched.Seconds()/together.Seconds(), "of-batch-32")
	b.ReportMetric(float64(single.Milliseconds())/float64(b.N), "ms-alone")
}

package inference_test

import (
	"context"
	"fmt"
	"image"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/tensor"
)

// question is a call of a classifier. Its answer must not refer to memory of the engine.
type question struct {
	name string
	ask  func(c *inference.Classifier) (answer any, err error)
}

// questions returns calls of every method that computes, each with images of its own.
func questions(t *testing.T, kinds int) (all []question) {
	t.Helper()
	ds := garments(t, 8*kinds)
	for i := range kinds {
		batch := tensor.New(1+i%3, 1, 28, 28)
		for j := range batch.Data() {
			batch.Data()[j] = float32((j*(i+3))%251) / 251
		}
		img := image.NewGray(image.Rect(0, 0, 28, 28))
		for j := range img.Pix {
			img.Pix[j] = uint8(j * (i + 2))
		}
		chosen := make([]int, batch.Shape()[0])
		for j := range chosen {
			chosen[j] = -1
		}
		part := data.First(ds, 8*(i+1))
		names := func(yield func(string, error) bool) {
			for j := range 3 {
				if !yield(strconv.Itoa(j), nil) {
					return
				}
			}
		}
		add := func(name string, ask func(c *inference.Classifier) (any, error)) {
			all = append(all, question{fmt.Sprint(name, i), ask})
		}
		add("Logits", func(c *inference.Classifier) (any, error) { return c.Logits(batch) })
		add("Predict", func(c *inference.Classifier) (any, error) { return c.Predict(t.Context(), img, 0) })
		add("PredictAll", func(c *inference.Classifier) (any, error) {
			return c.PredictAll(t.Context(), []image.Image{img, image.NewGray(img.Rect), img}, 3)
		})
		add("PredictPixels", func(c *inference.Classifier) (any, error) {
			return c.PredictPixels(t.Context(), transforms.FromImage(img, 1), 0)
		})
		add("GradCAM", func(c *inference.Classifier) (any, error) { return c.GradCAM(img, i%10) })
		add("GradCAMs", func(c *inference.Classifier) (any, error) { return c.GradCAMs(batch, chosen) })
		add("Evaluate", func(c *inference.Classifier) (any, error) {
			var answers []inference.Answer
			r, err := c.EvaluateEach(context.Background(), part, data.LoaderConfig{Batch: 5}, func(a inference.Answer) { answers = append(answers, a) }, nil)
			r.ImagesPerSecond = 0 // it differs every time
			return []any{r, answers}, err
		})
		add("PredictStream", func(c *inference.Classifier) (any, error) { return streamed(c, names) })
		add("With", func(c *inference.Classifier) (any, error) { return c.With(c.Module()).Logits(batch) })
		add("Replaced", func(c *inference.Classifier) (any, error) { return c.Replaced(c.Module(), c.Info()).Logits(batch) })
	}
	return all
}

func streamed(c *inference.Classifier, names iter.Seq2[string, error]) (any, error) {
	var found [][]inference.Prediction
	err := c.PredictStream(context.Background(), names, numberedImage, 0, func(_ string, p []inference.Prediction, err error) error {
		found = append(found, slices.Clone(p))
		return err
	})
	return found, err
}

// Goroutines that use one classifier at the same time get the same bits as a single one.
// With the race detector the test also finds unguarded memory.
func TestGoroutinesTakeTurns(t *testing.T) {
	dev := device(t)
	_, path := save(t, leNetInfo(), nil)
	c, err := inference.Load(path, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	asked := questions(t, 4)
	want := make([]any, len(asked))
	for i, q := range asked {
		if want[i], err = q.ask(c); err != nil {
			t.Fatalf("%s: %v", q.name, err)
		}
	}
	const goroutines, rounds = 12, 30
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			got := make([]any, rounds)
			for r := range rounds {
				q := asked[(g*7+r*11)%len(asked)]
				var err error
				if got[r], err = q.ask(c); err != nil {
					t.Errorf("%s: %v", q.name, err)
				}
			}
			for r := range rounds { // only now, so that an overwritten answer is noticed
				if i := (g*7 + r*11) % len(asked); !reflect.DeepEqual(got[r], want[i]) {
					t.Errorf("%s gives another answer with concurrent calls than alone", asked[i].name)
				}
			}
		})
	}
	all.Wait()
}

package inference_test

import (
	"context"
	"image"
	"image/color"
	"iter"
	"math"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/task"
)

// cropped is the input of a model whose images are resized to this shorter side and cropped to 28.
func cropped(shorter int) prepare.Input {
	return prepare.Input{Channels: 1, Height: 28, Width: 28, Preprocess: prepare.Steps{ResizeShorter: shorter, Grey: true}}
}

// noise is an image that no part of which is like another.
func noise(w, h int) *image.Gray {
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = uint8(i*i*7 + i*13)
	}
	return g
}

// part is the image within r, mirrored if asked for.
func part(g *image.Gray, r image.Rectangle, mirrored bool) image.Image {
	out := image.NewGray(image.Rect(0, 0, r.Dx(), r.Dy()))
	for y := range r.Dy() {
		for x := range r.Dx() {
			at := x
			if mirrored {
				at = r.Dx() - 1 - x
			}
			out.SetGray(x, y, g.At(r.Min.X+at, r.Min.Y+y).(color.Gray))
		}
	}
	return out
}

// The answer to views is by the mean of the logits for images that were flipped and cropped by
// hand, in every method.
func TestViews(t *testing.T) {
	ctx := context.Background()
	info := leNetInfo()
	info.Input = cropped(32)
	_, path := save(t, info, nil)
	info.Input = cropped(28)
	byHand := loaded(t, info)
	squashed := leNetInfo()
	squashed.Augment = "none"
	_, other := save(t, squashed, nil)
	g := noise(32, 32)
	var flips, crops, moved []image.Image
	for _, mirrored := range []bool{false, true} {
		flips = append(flips, part(g, image.Rect(2, 2, 30, 30), mirrored))
		for _, at := range []image.Point{{2, 2}, {0, 0}, {4, 0}, {0, 4}, {4, 4}} {
			crops = append(crops, part(g, image.Rectangle{at, at.Add(image.Pt(28, 28))}, mirrored))
		}
	}
	small := noise(28, 28)
	for _, by := range []image.Point{{}, {-1, -1}, {1, -1}, {-1, 1}, {1, 1}} {
		m := image.NewGray(small.Rect)
		for y := range 28 {
			for x := range 28 {
				at := func(i int) int { return min(max(i, -i), 54-i) }
				m.SetGray(x, y, small.GrayAt(at(x+by.X), at(y+by.Y)))
			}
		}
		moved = append(moved, m)
	}
	for name, c := range map[string]struct {
		path  string
		views inference.Views
		image image.Image
		parts []image.Image
	}{
		"flip":  {path, inference.Flip, g, flips},
		"crops": {path, inference.Crops, g, crops},
		"moved": {other, inference.Crops, small, moved},
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := inference.Load(c.path, device(t), engine.FP32)
			if err != nil {
				t.Fatal(err)
			}
			mean := make([]float32, 10)
			for _, img := range c.parts {
				for _, p := range predict(t, byHand, img) {
					mean[p.Index] += float32(math.Log(p.Probability) / float64(len(c.parts)))
				}
			}
			want := forward.Probabilities(mean)
			viewing, err := plain.Viewing(c.views)
			if err != nil {
				t.Fatal(err)
			}
			same := func(how string, found []inference.Prediction, err error) {
				t.Helper()
				if err != nil || len(found) != 10 {
					t.Fatalf("%s: %d classes, %v", how, len(found), err)
				}
				for i, p := range found {
					if math.Abs(p.Probability-want[p.Index]) > 1e-6 || i > 0 && p.Probability > found[i-1].Probability {
						t.Errorf("%s: class %d has %v, want %v", how, p.Index, p.Probability, want[p.Index])
					}
				}
			}
			same("Predict", predict(t, viewing, c.image), nil)
			all, err := viewing.PredictAll(ctx, []image.Image{c.image, c.image}, 0)
			same("PredictAll", all[1], err)
			err = viewing.PredictStream(ctx, once("a"), func(string) (image.Image, error) { return c.image, nil }, 0, func(_ string, p []inference.Prediction, err error) error {
				same("PredictStream", p, err)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			r, err := viewing.EvaluateEach(ctx, oneImage{c.image.(*image.Gray)}, data.LoaderConfig{Batch: 4}, func(a inference.Answer) {
				if math.Abs(a.Own-want[3]) > 1e-6 {
					t.Errorf("Evaluate: class 3 has %v, want %v", a.Own, want[3])
				}
			}, nil)
			if err != nil || math.Abs(r.Loss+math.Log(want[3])) > 1e-5 {
				t.Errorf("Evaluate: loss %v, want %v (%v)", r.Loss, -math.Log(want[3]), err)
			}
		})
	}
}

// predict is Predict of all classes.
func predict(t *testing.T, c *inference.Classifier, img image.Image) []inference.Prediction {
	t.Helper()
	p, err := c.Predict(context.Background(), img, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// once yields one name.
func once(name string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield(name, nil) }
}

// oneImage is a data set of three copies of an image of class 3.
type oneImage struct{ g *image.Gray }

func (o oneImage) Len() int { return 3 }
func (o oneImage) Info() data.Info {
	return data.Info{Name: "one", Channels: 1, Height: o.g.Rect.Dy(), Width: o.g.Rect.Dx(), Classes: classes()}
}
func (o oneImage) Get(_ int, pix []uint8) (int, error) {
	copy(pix, o.g.Pix)
	return 3, nil
}

// A temperature changes probabilities and no class, in predictions and in evaluations.
func TestCalibrated(t *testing.T) {
	info := leNetInfo()
	info.Temperature = []float64{2.5}
	_, path := save(t, info, nil)
	plain, err := inference.Load(path, device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	c, err := plain.Calibrated()
	if err != nil {
		t.Fatal(err)
	}
	g := noise(28, 28)
	before, after := predict(t, plain, g), predict(t, c, g)
	for i := range before {
		ratio := math.Log(before[i].Probability/before[0].Probability) / 2.5
		if before[i].Index != after[i].Index || math.Abs(math.Log(after[i].Probability/after[0].Probability)-ratio) > 1e-6 {
			t.Errorf("place %d: %+v became %+v", i, before[i], after[i])
		}
	}
	raw, err := plain.Evaluate(context.Background(), garments(t, 40), data.LoaderConfig{Batch: 16}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.EvaluateOutputs(context.Background(), garments(t, 40), data.LoaderConfig{Batch: 16}, func(a inference.Answer, outputs []float32) {
		if p := forward.ProbabilitiesAt(outputs, 2.5); p[a.Class] != a.Probability {
			t.Errorf("class %d has %v, and the answer says %v", a.Class, p[a.Class], a.Probability)
		}
	}, nil)
	if err != nil || r.Accuracy != raw.Accuracy || r.Loss == raw.Loss {
		t.Errorf("accuracy %v and loss %v, without the temperature %v and %v (%v)", r.Accuracy, r.Loss, raw.Accuracy, raw.Loss, err)
	}
	if again := predict(t, plain, g); again[0] != before[0] {
		t.Errorf("the classifier that was calibrated became %+v, and was %+v", again[0], before[0])
	}
}

// What a model cannot do is an error that says why.
func TestViewsRefuse(t *testing.T) {
	unmirrored, values := leNetInfo(), leNetInfo()
	unmirrored.Augment = "none"
	values.Task, values.Classes, values.Values = task.Values, nil, classes()
	for _, c := range []struct {
		want string
		ask  func() error
	}{
		{"mirrored no image", func() error { c := loaded(t, unmirrored); _, err := c.Viewing(inference.Flip); return err }},
		{"Views twice is not known", func() error { c := loaded(t, leNetInfo()); _, err := c.Viewing("twice"); return err }},
		{"has no temperature", func() error { c := loaded(t, leNetInfo()); _, err := c.Calibrated(); return err }},
		{"no probabilities", func() error { c := loaded(t, values); _, err := c.Calibrated(); return err }},
	} {
		if err := c.ask(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}
}

// loaded opens a model of random weights that info describes.
func loaded(t *testing.T, info checkpoint.Model) *inference.Classifier {
	t.Helper()
	_, path := save(t, info, nil)
	c, err := inference.Load(path, device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

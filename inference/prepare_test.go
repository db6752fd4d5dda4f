package inference_test

import (
	"context"
	"image"
	"math"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

// colours is a data set of small colour images of one size.
type colours struct{ n, height, width int }

func (s colours) Info() data.Info {
	return data.Info{Name: "colours", Classes: classes(), Channels: 3, Height: s.height, Width: s.width}
}
func (s colours) Len() int { return s.n }
func (s colours) Get(i int, pix []uint8) (int, error) {
	for k := range pix {
		pix[k] = uint8(k*k*(i+3) + 31*k + 5*i)
	}
	return i % 10, nil
}

func (s colours) image(i int) image.Image {
	m := transforms.NewImage(3, s.height, s.width)
	s.Get(i, m.Pix)
	return transforms.ToImage(m)
}

// Predict and Evaluate prepare images as the model file says: both sides resized by bicubic
// interpolation, values from 0 to 255, and blue first. The images of the data sets have one
// size or different sizes, square or not.
func TestPreparationsOfOtherPrograms(t *testing.T) {
	mean, std := []float64{103.9, 116.8, 123.7}, []float64{57, 58, 59}
	for _, c := range []struct {
		what          string
		height, width int
		p             prepare.Steps
		want          func(m transforms.Image) transforms.Image
	}{
		{"both sides, bicubic", 24, 24, prepare.Steps{Resize: 24, Interpolation: "bicubic", Scale: 1, Mean: mean, Std: std, BGR: true},
			func(m transforms.Image) transforms.Image {
				return transforms.Resize{Height: 24, Width: 24, Interpolation: transforms.Bicubic}.Apply(m, nil)
			}},
		{"oblong, bicubic", 20, 28, prepare.Steps{Interpolation: "bicubic", Scale: 1, Mean: mean, Std: std, BGR: true},
			func(m transforms.Image) transforms.Image {
				return transforms.Resize{Height: 20, Width: 28, Interpolation: transforms.Bicubic}.Apply(m, nil)
			}},
		{"the middle of bytes", 24, 24, prepare.Steps{ResizeShorter: 27, Interpolation: "bilinear", Scale: 1, Mean: mean, Std: std, BGR: true},
			func(m transforms.Image) transforms.Image {
				return transforms.ImageClassification{ResizeSize: 27, CropSize: 24}.Pixels(m)
			}},
	} {
		info := presetInfo()
		info.Height, info.Width, info.Preprocess = c.height, c.width, c.p
		_, path := save(t, info, nil)
		classifier, err := inference.Load(path, device(t), engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		ds := colours{12, 40, 33}
		got, err := classifier.Prepare([]image.Image{ds.image(1)})
		if err != nil {
			t.Fatal(err)
		}
		m := c.want(transforms.FromImage(ds.image(1), 3))
		if !got.Shape().Equal(tensor.Shape{1, 3, c.height, c.width}) {
			t.Fatalf("%s: images of %v", c.what, got.Shape())
		}
		area := c.height * c.width
		for i, v := range got.Data() {
			channel := i / area
			if want := (float64(m.Pix[(2-channel)*area+i%area]) - mean[channel]) / std[channel]; math.Abs(float64(v)-want) > 1e-5 {
				t.Fatalf("%s: number %d is %v, want %v", c.what, i, v, want)
			}
		}
		var said []inference.Prediction
		for i := range ds.n {
			p, err := classifier.Predict(t.Context(), ds.image(i), 1)
			if err != nil {
				t.Fatal(err)
			}
			said = append(said, p[0])
		}
		heard := 0
		if _, err := classifier.EvaluateEach(context.Background(), ds, data.LoaderConfig{Batch: 5}, func(a inference.Answer) {
			heard++
			if p := said[a.Index]; a.Class != p.Index || math.Abs(a.Probability-p.Probability) > 1e-6 {
				t.Errorf("%s: image %d is %+v by Predict and %+v by Evaluate", c.what, a.Index, p, a)
			}
		}, nil); err != nil {
			t.Fatal(err)
		}
		if heard != ds.n {
			t.Errorf("%s: %d answers", c.what, heard)
		}
	}
}

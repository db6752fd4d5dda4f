package inference_test

import (
	"image"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/weights/onnx"
)

// An exported model gives the same bits as the model it was exported from, whatever part of
// the preparation the graph contains.
func TestONNXFilesAnswerAsTheirModel(t *testing.T) {
	dev := device(t)
	info := leNetInfo()
	info.Preprocess.Mean, info.Preprocess.Std = []float64{0.3}, []float64{0.4}
	m, path := save(t, info, nil)
	want, err := inference.Load(path, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewGray(image.Rect(0, 0, 40, 30))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 7)
	}
	answer, err := want.Predict(t.Context(), img, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []exchange.ExportConfig{{}, {Bytes: true}, {Bytes: true, ChannelsLast: true}} {
		path := filepath.Join(t.TempDir(), "m.ONNX")
		if _, err := exchange.Save(path, m, info, c); err != nil {
			t.Fatal(err)
		}
		got, err := inference.Load(path, dev, engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		ps, err := got.Predict(t.Context(), img, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ps {
			if ps[i] != answer[i] {
				t.Errorf("%+v: answer %d is %v, want %v", c, i, ps[i], answer[i])
			}
		}
		if got.Info().Architecture != "d2l-bnlenet" || got.Info().Dataset != "garments" {
			t.Errorf("it says of itself %+v", got.Info())
		}
	}
}

// A file whose metadata and graph disagree is refused.
func TestONNXFilesThatContradictThemselves(t *testing.T) {
	m, _ := save(t, leNetInfo(), nil)
	for want, change := range map[string]func(*checkpoint.Model){
		"names 9 classes, but its graph has 10": func(i *checkpoint.Model) { i.Classes = i.Classes[:9] },
		"images have 3 channels":                func(i *checkpoint.Model) { i.Channels, i.Preprocess.Grey = 3, false },
		"images are 30x28":                      func(i *checkpoint.Model) { i.Height = 30 },
		"a byte v of channel 0 becomes":         func(i *checkpoint.Model) { i.Preprocess.Mean = []float64{0.5} },
		"at most 4096 are possible":             func(i *checkpoint.Model) { i.Preprocess.NativeWidth = 5000 },
	} {
		path := filepath.Join(t.TempDir(), "m.onnx")
		model, err := exchange.Save(path, m, leNetInfo(), exchange.ExportConfig{Bytes: true})
		if err != nil {
			t.Fatal(err)
		}
		info := leNetInfo()
		info.Classes = classes()
		change(&info)
		if model.Metadata, err = info.Metadata(); err != nil {
			t.Fatal(err)
		}
		if err := checkpoint.WriteFile(path, func(w io.Writer) error { return onnx.Write(w, model) }); err != nil {
			t.Fatal(err)
		}
		if _, err := inference.Load(path, device(t), engine.FP32); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

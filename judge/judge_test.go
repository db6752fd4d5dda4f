package judge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/report/page"
)

// classifier returns a model with random weights in a folder of its own.
func classifier(t *testing.T, ds data.Dataset) (c *inference.Classifier, path string) {
	t.Helper()
	return tempered(t, ds, nil)
}

// tempered is classifier for a file with a temperature.
func tempered(t *testing.T, ds data.Dataset, temperature []float64) (c *inference.Classifier, path string) {
	t.Helper()
	m, err := models.New("d2l-bnlenet", models.Config{})
	if err != nil {
		t.Fatal(err)
	}
	nn.Init(m, 7, nn.XavierUniform)
	path = filepath.Join(t.TempDir(), "best.safetensors")
	info := checkpoint.Model{
		Architecture: "d2l-bnlenet", Classes: ds.Info().Classes,
		Input: prepare.Input{Channels: 1, Height: 28, Width: 28, Preprocess: prepare.Steps{Resize: 28, Grey: true}}, Dataset: "garments", Epoch: 2,
		Temperature: temperature,
	}
	if err := checkpoint.SaveModel(path, info, nn.StateDict(m)); err != nil {
		t.Fatal(err)
	}
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dev.Close)
	if c, err = inference.Load(path, dev, engine.FP32); err != nil {
		t.Fatal(err)
	}
	return c, path
}

// named is a data set whose images have names.
type named struct{ data.Dataset }

func (n named) Describe(i int) (int, string) {
	if i%2 == 1 {
		return 0, ""
	}
	return 0, fmt.Sprintf("shelf/%d.png", i)
}

func garments(t *testing.T, n int) data.Dataset {
	t.Helper()
	ds, err := data.Open(context.Background(), "garments", data.Options{Split: data.Test, Size: n})
	if err != nil {
		t.Fatal(err)
	}
	return named{ds}
}

// Examine finds the most confident mistakes and the calibration, compared with a plain loop.
func TestExamine(t *testing.T) {
	ds := garments(t, 150)
	c, _ := classifier(t, ds)
	var all []inference.Answer
	j, err := Examine(context.Background(), c, ds, Config{
		Loader: data.LoaderConfig{Batch: 40}, Mistakes: 10, Each: func(a inference.Answer) { all = append(all, a) },
	})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := c.Evaluate(context.Background(), ds, data.LoaderConfig{Batch: 40}, nil)
	if err != nil || j.Accuracy != plain.Accuracy || j.Loss != plain.Loss || j.Count != 150 || len(all) != 150 {
		t.Errorf("%d answers, %d heard, accuracy %v, Evaluate %v (%v)", j.Count, len(all), j.Accuracy, plain.Accuracy, err)
	}
	wrong := slices.DeleteFunc(slices.Clone(all), func(a inference.Answer) bool { return a.Class == a.Label })
	slices.SortStableFunc(wrong, func(a, b inference.Answer) int {
		switch {
		case a.Probability > b.Probability:
			return -1
		case a.Probability < b.Probability:
			return 1
		}
		return 0
	})
	if !slices.Equal(j.Mistakes, wrong[:10]) {
		t.Errorf("the most confident mistakes are\n%v\nwant\n%v", j.Mistakes, wrong[:10])
	}
	sum := 0.0
	for _, a := range all {
		sum += a.Probability
	}
	if got := j.Calibration.All(); got.Count != 150 || math.Abs(got.Sum-sum) > 1e-9 || got.Right != 150-len(wrong) {
		t.Errorf("calibration over %+v, want %v and %d right", got, sum, 150-len(wrong))
	}
	if none, err := Examine(context.Background(), c, ds, Config{Mistakes: -1}); err != nil || len(none.Mistakes) != 0 {
		t.Errorf("%d mistakes were collected, want none (%v)", len(none.Mistakes), err)
	}
}

// A mistake with probability NaN is left out.
func TestMostConfidentSkipsNaN(t *testing.T) {
	s := mostConfident{most: 2}
	for i, p := range []float64{0.5, math.NaN(), 0.9, 0.9, 0.1} {
		s.add(inference.Answer{Index: i, Class: 1, Probability: p})
	}
	var got []int
	for _, a := range s.sorted() {
		got = append(got, a.Index)
	}
	if !slices.Equal(got, []int{2, 3}) {
		t.Errorf("collected %v", got)
	}
}

// The report of a run has its curves and settings, and its mistakes with names, images as
// the model saw them, and explanations.
func TestReportOfARun(t *testing.T) {
	ds := garments(t, 60)
	c, path := classifier(t, ds)
	dir := filepath.Dir(path)
	for name, text := range map[string]string{
		"settings.yaml": "model: d2l-bnlenet\nblocks: [2, 1]\nweight_decay: 0.5\n",
		"metrics.jsonl": `{"epoch":0.5,"lr":0.1,"train_loss":2,"train_acc":0.2}
{"epoch":1,"lr":0.1,"train_loss":1.5,"train_acc":0.4,"test_loss":1.7,"test_acc":0.3}
{"epoch":2,"lr":0.1,"train_loss":1,"train_acc":0.5,"test_loss":1.2,"test_acc":0.45}
{"epoch":2.5,"lr":0.1,"train_loss":0.`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	j, err := Examine(context.Background(), c, ds, Config{Mistakes: 11})
	if err != nil {
		t.Fatal(err)
	}
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p, err := j.Report(context.Background(), Source{Model: path, Part: "test", Made: made, Machine: []page.Fact{{Name: "processor", Value: "one"}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Curves) != 2 || p.Curves[0].Title != "Loss" || len(p.Curves[0].Lines) != 2 || len(p.Curves[0].Lines[0].Points) != 3 || len(p.Curves[0].Lines[1].Points) != 2 {
		t.Errorf("curves %+v", p.Curves) // the learning rate never changes, the last line is cut
	}
	var values []string
	for _, f := range p.Facts {
		for _, row := range f.Rows {
			values = append(values, row.Name+"="+row.Value)
		}
	}
	for _, want := range []string{"architecture=d2l-bnlenet", "parameters=44,878", "input=28 × 28, grey", "epochs trained=2", "blocks=2, 1", "weight decay=0.5", "processor=one"} {
		if !slices.Contains(values, want) {
			t.Errorf("%q is not among the facts %q", want, values)
		}
	}
	if p.Data != "garments" || len(p.Mistakes) != 11 || p.Note != "" {
		t.Fatalf("%s, %d mistakes, %q", p.Data, len(p.Mistakes), p.Note)
	}
	for i, m := range p.Mistakes {
		a := j.Mistakes[i]
		img := image.NewGray(image.Rect(0, 0, 28, 28))
		label, err := ds.Get(a.Index, img.Pix)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("image %d", a.Index)
		if a.Index%2 == 0 {
			want = fmt.Sprintf("shelf/%d.png", a.Index)
		}
		if m.Name != want || m.True != ds.Info().Classes[label] || m.Predicted == m.True || m.Probability != a.Probability {
			t.Errorf("mistake %d is %s, %s for %s at %v", i, m.Name, m.Predicted, m.True, m.Probability)
		}
		if !bytes.Equal(m.Image.(*image.Gray).Pix, img.Pix) {
			t.Errorf("mistake %d has another image", i)
		}
		cam, err := c.GradCAM(img, a.Class)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := m.Heat, Heat(img, img.Bounds(), cam); got.Bounds() != image.Rect(0, 0, 112, 112) || !near(got, want) {
			t.Errorf("mistake %d has another heat map, of %v", i, got.Bounds())
		}
	}
}

// near compares images with a tolerance: a batch may round differently from one image.
func near(a, b image.Image) bool {
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			p, q := color.RGBAModel.Convert(a.At(x, y)).(color.RGBA), color.RGBAModel.Convert(b.At(x, y)).(color.RGBA)
			for _, d := range []int{int(p.R) - int(q.R), int(p.G) - int(q.G), int(p.B) - int(q.B)} {
				if d < -2 || d > 2 {
					return false
				}
			}
		}
	}
	return true
}

// A report replaces an older report, and no other file.
func TestWrite(t *testing.T) {
	ds := garments(t, 20)
	c, path := classifier(t, ds)
	j, err := Examine(context.Background(), c, ds, Config{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := j.Report(context.Background(), Source{Model: path, Part: "test"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	for range 2 {
		if err := Write(file, p); err != nil {
			t.Fatal(err)
		}
	}
	mine := filepath.Join(t.TempDir(), "mine.html")
	if err := os.WriteFile(mine, []byte("<html>mine</html>"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := Write(mine, p); err == nil || !strings.Contains(err.Error(), "mine.html exists and is not a report") {
		t.Errorf("over another file: %v", err)
	}
	if err := Write(t.TempDir(), p); err == nil {
		t.Error("a folder was replaced")
	}
	if text, _ := os.ReadFile(mine); string(text) != "<html>mine</html>" {
		t.Errorf("the file became %q", text)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := j.Report(ctx, Source{Model: path}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

func TestDefaultPath(t *testing.T) {
	for _, c := range [][5]string{
		{"runs/train-1/best.safetensors", "garments", "garments", "test", "runs/train-1/report.html"},
		{"runs/train-1/last.safetensors", "garments", "garments", "test", "runs/train-1/report-last.html"},
		{"runs/train-1/best.safetensors", "garments", "fashion-mnist", "train", "runs/train-1/report-fashion-mnist-train.html"},
		{"resnet50.onnx", "", "photos/my dogs?", "test", "report-resnet50-my dogs_.html"},
	} {
		if got := filepath.ToSlash(DefaultPath(c[0], c[1], c[2], c[3])); got != c[4] {
			t.Errorf("%v: %s", c[:4], got)
		}
	}
}

// The report says what the temperature of the file changes, whichever probabilities are asked for,
// and a sample of the predictions is shown.
func TestTemperature(t *testing.T) {
	ds := garments(t, 70)
	plain, path := tempered(t, ds, []float64{3})
	calibrated, err := plain.Calibrated()
	if err != nil {
		t.Fatal(err)
	}
	var before, after [2]float64
	for i, c := range []*inference.Classifier{plain, calibrated} {
		j, err := Examine(context.Background(), c, ds, Config{Mistakes: 2})
		if err != nil {
			t.Fatal(err)
		}
		before[i], after[i] = j.Raw.ExpectedError(), j.Fitted.ExpectedError()
		if answers := j.Calibration.ExpectedError(); answers != [2]float64{before[i], after[i]}[i] {
			t.Errorf("calibrated %v: the error is %v, %v without and %v with the temperature", i == 1, answers, before[i], after[i])
		}
		p, err := j.Report(context.Background(), Source{Model: path, Part: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if want := (page.Tempered{Temperature: 3, Before: before[i], After: after[i], Used: i == 1}); p.Tempered == nil || *p.Tempered != want {
			t.Errorf("the report has %+v, want %+v", p.Tempered, want)
		}
		var b bytes.Buffer
		if err := page.Write(&b, p); err != nil || !strings.Contains(b.String(), "The model file has the temperature 3, which") {
			t.Errorf("the page does not name the temperature (%v)", err)
		}
		shown, ok, err := j.Predictions()
		if err != nil || !ok || len(shown.Tiles) != 32 || len(j.Sample) != 32 {
			t.Fatalf("%d of %d answers are shown (%v)", len(shown.Tiles), len(j.Sample), err)
		}
		for k, tile := range shown.Tiles {
			if a := j.Sample[k]; a.Index != 2*k || tile.Wrong != (a.Class != a.Label) || !strings.HasPrefix(tile.Text, j.Classes[a.Class]+" ") || tile.Wrong != strings.HasSuffix(tile.Text, ", is "+j.Classes[a.Label]) {
				t.Errorf("tile %d says %q of %+v", k, tile.Text, a)
			}
		}
	}
	if before[0] != before[1] || after[0] != after[1] || before[0] == after[0] {
		t.Errorf("errors without %v and with the temperature %v", before, after)
	}
}

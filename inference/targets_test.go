package inference_test

import (
	"context"
	"go/parser"
	"go/token"
	"image"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
)

// answering saves a LeNet of three outputs that answers with t, as a model file and as a graph.
func answering(t *testing.T, of task.Targets) (m nn.Module, info checkpoint.Model, paths []string) {
	t.Helper()
	m, err := models.New("d2l-bnlenet", models.Config{Channels: 1, Classes: len(of.Names)})
	if err != nil {
		t.Fatal(err)
	}
	nn.Init(m, 7, nn.XavierUniform)
	info = leNetInfo().Answering(of)
	dir := t.TempDir()
	paths = []string{filepath.Join(dir, "m.safetensors"), filepath.Join(dir, "m.onnx")}
	if err := checkpoint.SaveModel(paths[0], info, nn.StateDict(m)); err != nil {
		t.Fatal(err)
	}
	if _, err := exchange.Save(paths[1], m, info, exchange.ExportConfig{}); err != nil {
		t.Fatal(err)
	}
	return m, info, paths
}

// asked is a data set of garments with targets that are their pixels.
type asked struct {
	data.Dataset
	targets task.Targets
}

func (a asked) Unwrap() data.Dataset { return a.Dataset }
func (a asked) Index(i int) int      { return i }
func (a asked) Info() data.Info {
	info := a.Dataset.Info()
	info.Classes, info.Targets = nil, a.targets
	return info
}
func (a asked) Target(i int, out []float32) error {
	pix := make([]uint8, 28*28)
	_, err := a.Dataset.Get(i, pix)
	for j := range out {
		out[j] = float32(pix[300+40*j])
		if a.targets.Task == task.Labels {
			out[j] = float32(min(pix[300+40*j], 1))
		}
	}
	return err
}

func imageAt(t *testing.T, ds data.Dataset, i int) image.Image {
	t.Helper()
	m := transforms.NewImage(1, 28, 28)
	if _, err := ds.Get(i, m.Pix); err != nil {
		t.Fatal(err)
	}
	return transforms.ToImage(m)
}

// A model of labels gives every label a probability of its own, from its file and from its graph.
func TestLabels(t *testing.T) {
	of := task.Targets{Task: task.Labels, Names: []string{"red", "large", "new"}}
	_, _, paths := answering(t, of)
	ds := asked{garments(t, 40), of}
	for _, path := range paths {
		c, err := inference.Load(path, device(t), engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		if info := c.Info(); info.Task != task.Labels || !slices.Equal(info.Labels, of.Names) || info.Classes != nil {
			t.Fatalf("%s: %+v", path, info)
		}
		x, err := c.Prepare([]image.Image{imageAt(t, ds, 3)})
		if err != nil {
			t.Fatal(err)
		}
		logits, err := c.Logits(x)
		if err != nil {
			t.Fatal(err)
		}
		found, err := c.Predict(t.Context(), imageAt(t, ds, 3), 0)
		if err != nil || len(found) != 3 {
			t.Fatal(found, err)
		}
		for i, p := range found {
			if want := 1 / (1 + math.Exp(-float64(logits.Data()[p.Index]))); math.Abs(p.Probability-want) > 1e-6 || p.Class != of.Names[p.Index] || i > 0 && p.Probability > found[i-1].Probability {
				t.Errorf("%s: %+v, want the probability %v", path, p, want)
			}
		}
		r, err := c.Evaluate(context.Background(), ds, data.LoaderConfig{Batch: 16}, nil)
		if err != nil || r.Count != 40 || r.Labels == nil || len(r.Labels.Scores) != 3 || r.Confusion != nil || !(r.Loss > 0) {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := c.Values(t.Context(), imageAt(t, ds, 3)); err == nil || !strings.Contains(err.Error(), "answers with labels and no values; call Predict") {
			t.Error(err)
		}
		if _, err := c.Evaluate(context.Background(), garments(t, 9), data.LoaderConfig{Batch: 3}, nil); err == nil || !strings.Contains(err.Error(), "answers with labels, and garments has classes") {
			t.Error(err)
		}
	}
}

// A model of values answers in their units. Its graph does so by itself, and the numbers that
// convert them are no longer beside it.
func TestValues(t *testing.T) {
	of := task.Targets{Task: task.Values, Names: []string{"age", "price", "weight"}, Mean: []float64{40, 5000, 0.5}, Std: []float64{10, 900, 0.01}}
	_, _, paths := answering(t, of)
	plain := of
	plain.Mean, plain.Std = nil, nil
	ds := asked{garments(t, 40), plain}
	var before []inference.Value
	var loss float64
	for i, path := range paths {
		c, err := inference.Load(path, device(t), engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		if info := c.Info(); (info.ValueStd == nil) != (i == 1) || !slices.Equal(info.Values, of.Names) {
			t.Fatalf("%s: %+v", path, info)
		}
		values, err := c.Values(t.Context(), imageAt(t, ds, 3))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			x, err := c.Prepare([]image.Image{imageAt(t, ds, 3)})
			if err != nil {
				t.Fatal(err)
			}
			logits, err := c.Logits(x)
			if err != nil {
				t.Fatal(err)
			}
			for j, v := range values {
				if want := of.Mean[j] + of.Std[j]*float64(logits.Data()[j]); math.Abs(v.Value-want) > 1e-9*math.Abs(want) || v.Name != of.Names[j] {
					t.Errorf("%+v, want %v", v, want)
				}
			}
			before = values
		}
		for j, v := range values {
			if math.Abs(v.Value-before[j].Value) > 1e-5*math.Abs(v.Value) {
				t.Errorf("%s: %+v, from the model file %+v", path, v, before[j])
			}
		}
		r, err := c.Evaluate(context.Background(), ds, data.LoaderConfig{Batch: 16}, nil)
		if err != nil || r.Values == nil || !(r.Values.Scores[1].MAE > 100) {
			t.Fatalf("%+v, %v", r.Values, err)
		}
		if i == 1 && math.Abs(r.Values.MAE-loss) > 1e-4*loss {
			t.Errorf("the graph's mean absolute error is %v, the model file's %v", r.Values.MAE, loss)
		}
		loss = r.Values.MAE
		if _, err := c.Predict(t.Context(), imageAt(t, ds, 3), 1); err == nil || !strings.Contains(err.Error(), "answers with values and no classes; call Values") {
			t.Error(err)
		}
		other := asked{ds.Dataset, task.Targets{Task: task.Values, Names: []string{"age", "weight", "price"}}}
		if _, err := c.Evaluate(context.Background(), other, data.LoaderConfig{Batch: 3}, nil); err == nil || !strings.Contains(err.Error(), `answers with the values ["age" "price" "weight"], and garments has ["age" "weight" "price"]`) {
			t.Error(err)
		}
	}
}

// Files are answered in their order, each with its values or its error.
func TestValuesOfFiles(t *testing.T) {
	of := task.Targets{Task: task.Values, Names: []string{"age"}, Mean: []float64{40}, Std: []float64{10}}
	_, _, paths := answering(t, of)
	c, err := inference.Load(paths[0], device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"../data/photo/testdata/none.png", "testdata/photo.png"}
	var got []string
	err = c.ValuesOfFiles(context.Background(), seq(files), func(name string, values []inference.Value, err error) error {
		if err != nil {
			got = append(got, "error")
		} else {
			got = append(got, values[0].Name)
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"error", "age"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func seq(names []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// The Go package of a model has the function that suits what it answers.
func TestSaveGoOfTasks(t *testing.T) {
	for of, want := range map[task.Task]string{
		task.Labels: "func Predict(img image.Image) ([]Prediction, error)", task.Values: "func Predict(img image.Image) ([]Value, error)",
	} {
		m, info, _ := answering(t, task.Targets{Task: of, Names: []string{"a", "b"}})
		for _, architecture := range []string{info.Architecture, "my-net"} {
			info.Architecture = architecture
			dir := filepath.Join(t.TempDir(), "things")
			if _, err := exchange.SaveGo(dir, m, info); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(dir, "model.go"))
			if err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s\n%v", text, err)
			}
			if _, err := parser.ParseFile(token.NewFileSet(), "model.go", text, parser.AllErrors); err != nil {
				t.Error(err)
			}
			file, err := exchange.GoEmbedded(dir)
			if err != nil {
				t.Fatal(err)
			}
			if c, err := inference.Load(file, device(t), engine.FP32); err != nil || c.Info().Task != of {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

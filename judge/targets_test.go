package judge_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/judge"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/report/page"
	"github.com/residual-ml/residual/task"
)

// asked gives images two numbers: 1 where the index is odd, and 0.
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
	out[0], out[1] = float32(i%2), 0
	return nil
}

// The report of labels and of values has their measures, and nothing about classes.
func TestReportOfTargets(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	images, err := data.Open(context.Background(), "garments", data.Options{Split: data.Test, Size: 30})
	if err != nil {
		t.Fatal(err)
	}
	for of, want := range map[task.Task][]string{
		task.Labels: {"<h2>Labels</h2>", ">mAP<", ">Exact<", ">small &lt;b&gt;<", "Average precision"},
		task.Values: {"<h2>Values</h2>", ">R²<", ">MAE<", ">small &lt;b&gt;<"},
	} {
		ds := asked{images, task.Targets{Task: of, Names: []string{"odd", "small <b>"}}}
		m, err := models.New("d2l-bnlenet", models.Config{Channels: 1, Classes: 2})
		if err != nil {
			t.Fatal(err)
		}
		nn.Init(m, 3, nn.XavierUniform)
		path := filepath.Join(t.TempDir(), "m.safetensors")
		about := checkpoint.Model{
			Architecture: "d2l-bnlenet", Dataset: "list.csv",
			Input: prepare.Input{Channels: 1, Height: 28, Width: 28, Preprocess: prepare.Steps{NativeHeight: 28, NativeWidth: 28, Grey: true}},
		}.Answering(ds.targets)
		if err := checkpoint.SaveModel(path, about, nn.StateDict(m)); err != nil {
			t.Fatal(err)
		}
		c, err := inference.Load(path, dev, engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		j, err := judge.Examine(context.Background(), c, ds, judge.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if a := j.Answers(); a.Count != 30 || len(a.Rows) != 2 || a.Rows[1][0] != "small <b>" || len(a.Rows[0]) != len(a.Columns) {
			t.Errorf("%+v", a)
		}
		p, err := j.Report(context.Background(), judge.Source{Model: path, Part: "test"})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := page.Write(&b, p); err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(b.String(), text) {
				t.Errorf("%s: the page has no %s", of, text)
			}
		}
		for _, text := range []string{"Confusion", "Accuracy</dt>", "confident mistakes"} {
			if strings.Contains(b.String(), text) {
				t.Errorf("%s: the page has %s", of, text)
			}
		}
	}
}

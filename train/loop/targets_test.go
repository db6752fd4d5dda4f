package loop

import (
	"math"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// valued gives every image one value, its index.
type valued struct{ data.Dataset }

func (v valued) Unwrap() data.Dataset { return v.Dataset }
func (v valued) Index(i int) int      { return i }
func (v valued) Info() data.Info {
	info := v.Dataset.Info()
	info.Targets = task.Targets{Task: task.Values, Names: []string{"index"}}
	return info
}
func (v valued) Target(i int, out []float32) error {
	out[0] = float32(i % 7)
	return nil
}

// Of a test part of one image R2 is not known; the latest epoch is then the best.
func TestLatestIsBestWithoutScores(t *testing.T) {
	m := nn.Sequential{nn.Flatten{}, nn.NewLinear(28*28, 1)}
	nn.Init(m, 1, nn.XavierUniform)
	tr := trainerOf(t, m, valued{someImages(t, data.Train, 40)}, valued{someImages(t, data.Test, 1)}, Options{Batch: 10, Epochs: 3})
	totals := run(t, tr, func(e Epoch) error {
		if !math.IsNaN(e.Score) || !e.Best || e.Test.Values.Count != 1 {
			t.Errorf("epoch %d: %+v", e.Epoch, e)
		}
		return nil
	})
	if totals.BestEpoch != 3 {
		t.Errorf("the best epoch is %d", totals.BestEpoch)
	}
}

// A step takes labels for a loss of a program's own, which gets them as soft labels, and
// allocates nothing for that once it is warm.
func TestOwnLossTakesLabels(t *testing.T) {
	m := normalised()
	var shape tensor.Shape
	loss := func(outputs, targets *graph.Node) *graph.Node {
		shape = targets.Shape
		return nn.FocalLoss{}.Forward(outputs, targets)
	}
	tr := trainerOf(t, m, someImages(t, data.Train, 40), nil, Options{Batch: 4, Loss: loss, ShortLast: true})
	images, labels := tensor.New(4, 1, 28, 28), tensor.FromInts([]int64{1, 9, 0, 3}, 4)
	for i := range images.Data() {
		images.Data()[i] = float32(i%13) / 13
	}
	first, _, err := tr.Step(images, labels, 0.1)
	if err != nil || !shape.Equal(tensor.Shape{4, 10}) {
		t.Fatal(err, shape)
	}
	last := first
	for range 20 {
		if last, _, err = tr.Step(images, labels, 0.1); err != nil {
			t.Fatal(err)
		}
	}
	if !(last < 0.8*first) {
		t.Errorf("the loss went from %v to %v", first, last)
	}
	if n := testing.AllocsPerRun(5, func() { _, _, _ = tr.Step(images, labels, 0.1) }); n > 2 {
		t.Errorf("a step allocates %v times", n)
	}
	if _, _, err := tr.Step(images, tensor.FromInts([]int64{1, 9, 0, 10}, 4), 0.1); err == nil {
		t.Error("label 10 of 10 classes was taken")
	}
}

// The loss of a teacher is 0 for outputs like its own, whatever the task.
func TestTeacherLossIsADivergence(t *testing.T) {
	logits := []float32{-3, 0.5, 2, 7, 0, -0.25}
	for _, kind := range []task.Task{task.Classes, task.Labels, task.Values} {
		loss := (&Teacher{Temperature: 3}).loss(task.Targets{Task: kind, Names: []string{"a", "b", "c"}})
		same := lossOf(t, loss, logits, logits)
		other := lossOf(t, loss, []float32{-3, 0.5, 2, 7, 0, 1}, logits)
		if math.Abs(same) > 1e-6 || other < 1e-3 {
			t.Errorf("%s: the loss is %v for the teacher's own outputs and %v for others", kind, same, other)
		}
	}
}

// lossOf computes a loss of outputs and targets [2, 3].
func lossOf(t *testing.T, loss nn.Loss, outputs, targets []float32) float64 {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	g := graph.New(graph.Eval)
	x, y := g.Input("outputs", tensor.Float32, 2, 3), g.Input("targets", tensor.Float32, 2, 3)
	value, err := forward.TraceLoss(loss, x, y)
	if err != nil {
		t.Fatal(err)
	}
	p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{value}})
	if err != nil {
		t.Fatal(err)
	}
	for n, v := range map[*graph.Node][]float32{x: outputs, y: targets} {
		if err := p.Feed(n, tensor.FromSlice(v, 2, 3)); err != nil {
			t.Fatal(err)
		}
	}
	p.Run(0)
	out := tensor.New()
	p.Read(value, out)
	return float64(out.Data()[0])
}

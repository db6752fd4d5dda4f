package graph

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// torchTensor and torchCase are the format of testdata/*.json; torch_ops.py documents the fields.
type torchTensor struct {
	Name   string
	Shape  []int
	Values []float64
}

type torchCase struct {
	Name, Op        string
	Attributes      json.RawMessage
	Inputs, Outputs []torchTensor
	DY              torchTensor
	Gradients       []*torchTensor
}

func readTorch(t *testing.T, file string) []torchCase {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []torchCase }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return all.Cases
}

func TestAgainstTorch(t *testing.T) {
	for file, count := range map[string]int{"conv.json": 14, "pool.json": 22, "batchnorm.json": 12, "dense.json": 13, "loss.json": 9} {
		cases := readTorch(t, file)
		if len(cases) != count {
			t.Errorf("%s has %d cases, want %d", file, len(cases), count)
		}
		for _, c := range cases {
			t.Run(c.Op+" "+c.Name, func(t *testing.T) { againstTorch(t, c, func(in []*Node) []*Node { return c.apply(t, in) }) })
		}
	}
}

func againstTorch(t *testing.T, c torchCase, apply func(in []*Node) []*Node) {
	g, feeds := New(Train), map[*Node][]float64{}
	in := make([]*Node, len(c.Inputs))
	for i, x := range c.Inputs {
		in[i] = g.Input(x.Name, tensor.Float32, x.Shape...)
		feeds[in[i]] = x.Values
	}
	outs := apply(in)
	if len(outs) != len(c.Outputs) {
		t.Fatalf("%d outputs, want %d", len(outs), len(c.Outputs))
	}
	dy := g.Input("dy", tensor.Float32, c.DY.Shape...)
	feeds[dy] = c.DY.Values
	loss := g.Apply(Sum{}, g.Apply(Mul{}, outs[0], dy))
	grads := Gradients(loss, in)

	values := Reference(outs, feeds)
	for i, n := range outs {
		closeToTorch(t, n, values[i], c.Outputs[i])
	}
	values = Reference(grads, feeds)
	for i, n := range grads {
		if w := c.Gradients[i]; w != nil {
			closeToTorch(t, n, values[i], *w)
		} else if _, zero := n.Op.(*Constant); !zero {
			t.Errorf("PyTorch has no gradient for input %s", c.Inputs[i].Name)
		}
	}
}

// apply builds the nodes of the case's outputs.
func (c torchCase) apply(t *testing.T, in []*Node) []*Node {
	t.Helper()
	g := in[0].Graph
	switch c.Op {
	case "Conv2d":
		return []*Node{g.Apply(attributes[Conv2d](t, c), in...)}
	case "MaxPool2d":
		return []*Node{g.Apply(attributes[MaxPool2d](t, c), in...)}
	case "AvgPool2d":
		return []*Node{g.Apply(attributes[AvgPool2d](t, c), in...)}
	case "AdaptiveAvgPool2d":
		return []*Node{g.Apply(attributes[AdaptiveAvgPool2d](t, c), in...)}
	case "CrossEntropyLoss":
		return []*Node{g.Apply(attributes[CrossEntropy](t, c), in...)}
	case "BatchNorm":
		return c.batchNorm(t, in)
	}
	plain := map[string]Op{
		"Linear": Linear{}, "CrossEntropy": CrossEntropy{}, "Softmax": Softmax{}, "ReLU": ReLU{},
		"Sigmoid": Sigmoid{}, "Tanh": Tanh{}, "Add": Add{}, "Mul": Mul{},
	}
	op, ok := plain[c.Op]
	if !ok {
		t.Fatalf("no op %q", c.Op)
	}
	return []*Node{g.Apply(op, in...)}
}

func (c torchCase) batchNorm(t *testing.T, in []*Node) []*Node {
	t.Helper()
	a := attributes[struct {
		Eps, Momentum float64
		Train         bool
	}](t, c)
	g, x, gamma, beta, mean, variance := in[0].Graph, in[0], in[1], in[2], in[3], in[4]
	if !a.Train {
		stats := g.Apply(Stack{}, mean, variance)
		return []*Node{g.Apply(BatchNorm{Eps: a.Eps, Frozen: true}, x, stats, gamma, beta)}
	}
	stats := g.Apply(BatchNormStats{}, x)
	count := x.Shape.Numel() / x.Shape[1]
	return []*Node{
		g.Apply(BatchNorm{Eps: a.Eps}, x, stats, gamma, beta),
		g.Apply(RunningStats{Momentum: a.Momentum, Row: 0, Count: count}, mean, stats),
		g.Apply(RunningStats{Momentum: a.Momentum, Row: 1, Count: count}, variance, stats),
	}
}

// attributes reads a case's attributes into T, which must have all their names.
func attributes[T any](t *testing.T, c torchCase) (a T) {
	t.Helper()
	var given, known map[string]any
	if err := json.Unmarshal(c.Attributes, &a); err != nil {
		t.Fatal(err)
	}
	back, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal(c.Attributes, &given) != nil || json.Unmarshal(back, &known) != nil || len(given) != len(known) {
		t.Fatalf("attributes %s do not fit %T", c.Attributes, a)
	}
	return a
}

// closeToTorch allows 1e-10 of the tensor's largest magnitude.
func closeToTorch(t *testing.T, n *Node, got []float64, want torchTensor) {
	t.Helper()
	if !n.Shape.Equal(want.Shape) {
		t.Errorf("%s: shape %v, want %v", want.Name, n.Shape, want.Shape)
		return
	}
	scale, most := 0.0, 1e-10
	if strings.Contains(t.Name(), "Hardsigmoid") {
		most = 1e-7 // PyTorch divides by 6 in float32
	}
	for _, v := range want.Values {
		scale = max(scale, math.Abs(v))
	}
	for i, v := range want.Values {
		if !(math.Abs(got[i]-v) <= most*scale) {
			t.Errorf("%s[%d] of %v is %v, PyTorch has %v", want.Name, i, want.Shape, got[i], v)
			return
		}
	}
}

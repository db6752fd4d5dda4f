package models_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/models/modelstest"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// read reads a fixture.
func read(t *testing.T, file string) *modelstest.Nets {
	t.Helper()
	nets, err := modelstest.ReadNets("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return nets
}

func device(t *testing.T) engine.Device {
	t.Helper()
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// With the same weights every network gives torchvision's logits, and the two with a training
// step in the fixture also give its loss and gradients.
func TestAsInTorchvision(t *testing.T) {
	compareNets(t, read(t, "torchvision_nets.json"), []string{"resnet18", "resnet50", "resnext50_32x4d"})
}

// So do the networks that torchvision does not have, compared with implementations of the
// papers in PyTorch.
func TestAsInPyTorch(t *testing.T) {
	nets, quick, white := read(t, "residual_nets.json"), read(t, "resnet9.json"), read(t, "whitened.json")
	compareNets(t, nets, []string{"cifar-plain20", "cifar-resnet20", "cifar-preresnet20", "preresnet18", "preresnet50"})
	stems := read(t, "stems.json")
	compareNets(t, quick, []string{"resnet9-16", "resnet9-32"})
	compareNets(t, stems, []string{"resnet9-16-s2", "resnet9-16-s4", "resnet18-s1"})
	compareNets(t, white, []string{"whitened-resnet8"})
	for _, n := range slices.Concat(nets.Models, quick.Models, stems.Models, white.Models) {
		m, err := models.New(n.Name, models.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, p := range nn.Named(m) {
			lines = append(lines, fmt.Sprintf("%s %v", p.Name, p.Value.Shape()))
		}
		text := strings.Join(lines, "\n")
		sum := sha256.Sum256([]byte(text))
		s, err := nn.Summary(m, tensor.Shape{1, 3, 224, 224})
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(sum[:]) != n.Names || s.Params != n.Params || s.MACs != n.MACs {
			t.Errorf("%s has %d parameters and %d multiply-adds, in PyTorch %d and %d; its names and shapes are\n%s",
				n.Name, s.Params, s.MACs, n.Params, n.MACs, text)
		}
	}
}

// The pre-activation networks give the logits of pytorchcv's, an independent implementation.
func TestAsInPytorchcv(t *testing.T) {
	nets := read(t, "pytorchcv_nets.json")
	compareNets(t, nets, []string{"preresnet18", "preresnet50"})
	for _, n := range nets.Models {
		if e, err := models.Lookup(n.Name); err != nil || e.Params != n.Params {
			t.Errorf("%s has %d parameters, pytorchcv's %d (%v)", n.Name, e.Params, n.Params, err)
		}
	}
}

func compareNets(t *testing.T, nets *modelstest.Nets, quick []string) {
	dev := device(t)
	for _, n := range nets.Models {
		t.Run(n.Name, func(t *testing.T) {
			if !slices.Contains(quick, n.Name) && os.Getenv("RESIDUAL_LONG") == "" {
				t.Skip("a large network; set RESIDUAL_LONG=1")
			}
			m, err := nets.Build(n.Name)
			if err != nil {
				t.Fatal(err)
			}
			y, err := engine.Call(dev, graph.Eval, m.Forward, nets.Images("images", nets.Batch))
			if err != nil {
				t.Fatal(err)
			}
			off, err := n.Logits.Compare(y.Data(), n.Logits.Max)
			if err != nil || !(off <= 1e-4) {
				t.Errorf("the logits are off by %.1e of the largest (%v)", off, err)
			}
			t.Logf("logits are off by %.1e of the largest; PyTorch's own in float32 by %.1e", off, n.Float32)
			if n.Step == nil {
				return
			}
			n.Step.Begin(m)
			compareStep(t, dev, m, n.Step, nets.Images(n.Step.Images, n.Step.Batch), nets.Labels(n.Step.Batch, y.Shape()[1]))
		})
	}
}

func compareStep(t *testing.T, dev engine.Device, m nn.Module, want *modelstest.TrainingStep, images, targets *tensor.Tensor) {
	t.Helper()
	g := graph.New(graph.Train)
	x := g.Input("images", tensor.Float32, images.Shape()...)
	labels := g.Input("labels", tensor.Int64, want.Batch)
	loss := nn.CrossEntropyLoss{}.Forward(m.Forward(x), labels)
	params := nn.Parameters(m)
	var leaves []*graph.Node
	for _, p := range params {
		leaves = append(leaves, g.Variable(p.Variable))
	}
	grads := graph.Gradients(loss, leaves)
	p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: append([]*graph.Node{loss}, grads...)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Feed(x, images); err != nil {
		t.Fatal(err)
	}
	if err := p.Feed(labels, targets); err != nil {
		t.Fatal(err)
	}
	p.Run(0)
	value := tensor.New()
	p.Read(loss, value)
	if off := math.Abs(float64(value.Data()[0])/want.Loss - 1); !(off <= 1e-5) {
		t.Errorf("the loss is %v, torchvision's %v", value.Data()[0], want.Loss)
	}
	if len(params) != len(want.Gradients) {
		t.Errorf("%d gradients, torchvision has %d", len(params), len(want.Gradients))
	}
	worst := 0.0
	for i, q := range params {
		grad := tensor.New(q.Value.Shape()...)
		p.Read(grads[i], grad)
		off, err := want.Gradients[q.Name].Compare(grad.Data(), want.Largest())
		if err != nil || !(off <= 2e-4) {
			t.Errorf("the gradient of %s is off by %.1e (%v)", q.Name, off, err)
		}
		worst = math.Max(worst, off)
	}
	t.Logf("gradients are off by at most %.1e; PyTorch's own in float32 by %.1e", worst, want.Float32)
}

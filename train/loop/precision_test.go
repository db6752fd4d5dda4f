package loop_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/portable"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train/loop"
)

// A precisionCase is one way to compute a net. The errors are bounds of the root mean square
// error against float64, relative to the root mean square of the exact values.
type precisionCase struct {
	name              string
	precision         engine.Precision
	direct            bool
	logits, gradients float64 // gradients is 0 where the precision does not train
}

var precisionCases = []precisionCase{
	{"fp32, direct sums", engine.FP32, true, 2e-6, 1e-6},
	{"fp32", engine.FP32, false, 2e-6, 2e-6},
	{"bf16, direct sums", engine.BF16, true, 0.005, 0.0027},
	{"bf16", engine.BF16, false, 0.005, 0.0025},
	{"int8", engine.INT8, false, 0.02, 0},
}

// TestPrecisionErrors measures the errors of every precision in a net that has learned, all
// against float64: the logits of test images, and the gradients of the inputs of its layers in
// a training step, each from the same gradient of the layer's output. In bf16 no layer may be
// farther off than by direct sums. With -v it prints the table of docs/precision.md.
func TestPrecisionErrors(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a net and computes it in float64; run without -short")
	}
	portable.Skip(t, "the portable kernels are among those that the build with assembly measures, and engine/cpu tests their sums in this one")
	const batch = 4 // nearly all of the time is for float64
	net, train, images, others := trainedForErrors(t, batch)
	logits := newExact(net, images)
	integers := newExact(quantised(t, net, others), images)
	integers.want = logits.want
	layers, grads := newGradients(t, net, train)
	var lines, byLayer strings.Builder
	for _, isa := range kernel.Available() {
		var direct []float64 // errors of the gradients in the case before
		byLayer.Reset()
		for _, c := range precisionCases {
			if c.precision == engine.FP32 && isa > kernel.AVX512 {
				continue // its kernels are those of AVX512
			}
			dev, err := cpu.New(cpu.Options{ISA: &isa, Direct: c.direct})
			if err != nil {
				t.Fatal(err)
			}
			changed, most := 0, 0.0
			of := logits
			if c.precision == engine.INT8 {
				of = integers
			}
			got := of.compute(t, dev, c.precision)
			ofLogits := of.errors(got)[0]
			for i := 0; i < len(got[0]); i += 10 {
				if largest(logits.want[0][i:i+10]) != largest(wide(got[0])[i:i+10]) {
					changed++
				}
			}
			for i, v := range got[0] {
				most = max(most, math.Abs(float64(v)-logits.want[0][i]))
			}
			ofGradients, shown := 0.0, "–"
			if c.gradients > 0 {
				errors := grads.errors(grads.compute(t, dev, c.precision))
				ofGradients = rootMeanSquare(errors)
				shown = fmt.Sprintf("%.2g", ofGradients)
				for i, e := range errors {
					if c.precision == engine.BF16 && !c.direct {
						fmt.Fprintf(&byLayer, "| %s | %.4f | %.4f | %.2f |\n", layers[i], direct[i], e, e/direct[i])
						if !(e <= direct[i]) {
							t.Errorf("%s, %v: error of the gradient of the input of %s %.3g, by direct sums %.3g", c.name, isa, layers[i], e, direct[i])
						}
					}
				}
				direct = errors
			}
			dev.Close()
			fmt.Fprintf(&lines, "| %s | %v | %.2g | %.2g | %d of %d | %s |\n", c.name, isa, ofLogits, most, changed, batch, shown)
			if !(ofLogits <= c.logits) || !(ofGradients <= c.gradients) {
				t.Errorf("%s, %v: errors of logits %.2g and of gradients %.2g, want at most %.2g and %.2g", c.name, isa, ofLogits, ofGradients, c.logits, c.gradients)
			}
		}
	}
	t.Logf("\n| computed in | kernels | logits: error | largest | other classes | gradients: error |\n|---|---|---|---|---|---|\n%s", lines.String())
	t.Logf("gradients by layer\n| layer | bf16, direct sums | bf16 | ratio |\n|---|---|---|---|\n%s", byLayer.String())
}

// trainedForErrors trains the ResNet-18 of the notes on garments, and returns it with what it
// was trained on, with test images that it has not seen, and with images of the training.
func trainedForErrors(t *testing.T, batch int) (net nn.Module, train data.Dataset, images, seen *tensor.Tensor) {
	t.Helper()
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	train, err = data.Open(t.Context(), "garments", data.Options{Split: data.Train, Size: 1024})
	if err != nil {
		t.Fatal(err)
	}
	test, err := data.Open(t.Context(), "garments", data.Options{Split: data.Test, Size: batch})
	if err != nil {
		t.Fatal(err)
	}
	net, err = models.New("d2l-resnet18", models.Config{Channels: 1, Classes: 10})
	if err != nil {
		t.Fatal(err)
	}
	nn.Init(net, 1, nn.XavierUniform)
	trainer, err := loop.New(dev, net, train, test, loop.Options{Batch: 64, Epochs: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trainer.Fit(t.Context(), loop.Events{}, nil); err != nil {
		t.Fatal(err)
	}
	images, _ = firstOf(t, test, batch)
	seen, _ = firstOf(t, train, 32)
	return net, train, images, seen
}

// firstOf returns the first n images of a data set with their labels.
func firstOf(t *testing.T, ds data.Dataset, n int) (images, labels *tensor.Tensor) {
	t.Helper()
	loader, err := data.NewLoader(ds, data.LoaderConfig{Batch: n})
	if err != nil {
		t.Fatal(err)
	}
	epoch := loader.Epoch(t.Context(), 0)
	defer epoch.Close()
	b, err := epoch.Next()
	if err != nil {
		t.Fatal(err)
	}
	return b.Images.Clone(), b.Labels.Clone()
}

// quantised returns the net with all layers quantised but the first and the last, with ranges
// that hold everything that the layers read of the given images.
func quantised(t *testing.T, net nn.Module, images *tensor.Tensor) nn.Module {
	t.Helper()
	e := &exact{graph: graph.New(graph.Eval)}
	x := e.graph.Input("images", tensor.Float32, images.Shape()...)
	e.feeds = map[*graph.Node]*tensor.Tensor{x: images}
	out := net.Forward(x)
	candidates := quant.Layers(net, out)
	candidates = candidates[1 : len(candidates)-1]
	s := &quant.Scheme{Layers: map[string]quant.Layer{}}
	for _, c := range candidates {
		s.Layers[c.Name] = quant.Layer{Weight: quant.WeightScales(c.Weight.Value)}
	}
	values := quant.Values(candidates, out)
	for _, v := range values {
		e.outputs = append(e.outputs, v.Node)
	}
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for i, observed := range e.compute(t, dev, engine.FP32) {
		s.Set(values[i], quant.GridOf(slices.Min(observed), slices.Max(observed)))
	}
	return &quant.Net{Module: net, Scheme: s}
}

// exact is a graph of a net with its outputs in float64.
type exact struct {
	graph   *graph.Graph
	feeds   map[*graph.Node]*tensor.Tensor
	outputs []*graph.Node
	want    [][]float64
}

// newExact traces the logits of a net in evaluation.
func newExact(net nn.Module, images *tensor.Tensor) *exact {
	e := &exact{graph: graph.New(graph.Eval)}
	x := e.graph.Input("images", tensor.Float32, images.Shape()...)
	e.feeds = map[*graph.Node]*tensor.Tensor{x: images}
	e.outputs = []*graph.Node{net.Forward(x)}
	e.want = graph.Reference(e.outputs, map[*graph.Node][]float64{x: wide(images.Data())})
	return e
}

// compute returns the outputs as a device computes them.
func (e *exact) compute(t *testing.T, dev engine.Device, precision engine.Precision) (got [][]float32) {
	t.Helper()
	p, err := engine.Compile(e.graph, engine.NewStore(dev), engine.Spec{Outputs: e.outputs, Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	for n, v := range e.feeds {
		if err := p.Feed(n, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Run(0); err != nil {
		t.Fatal(err)
	}
	for _, n := range e.outputs {
		out := tensor.New(n.Shape...)
		p.Read(n, out)
		got = append(got, slices.Clone(out.Data()))
	}
	return got
}

// errors returns for every output the root mean square of the differences from float64 over
// that of the values. An output may have more values than were computed in float64.
func (e *exact) errors(got [][]float32) []float64 {
	errors := make([]float64, len(e.want))
	for i, want := range e.want {
		off, all := 0.0, 0.0
		for k, w := range want {
			d := float64(got[i][k]) - w
			off += d * d
			all += w * w
		}
		errors[i] = math.Sqrt(off / all)
	}
	return errors
}

func rootMeanSquare(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum / float64(len(x)))
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// largest is the index of the largest value.
func largest(x []float64) int {
	return slices.Index(x, slices.Max(x))
}

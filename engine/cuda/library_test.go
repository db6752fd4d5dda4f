//go:build cuda && !windows

package cuda

import (
	"os"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cuda/driver"
	"github.com/residual-ml/residual/engine/cuda/emulate"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// The device works with a driver in a shared library, opened like the real one. That driver
// checks that its functions get the arguments that C expects, and that memory is freed.
func TestDriverInASharedLibrary(t *testing.T) {
	path := os.Getenv(emulate.Variable)
	if path == "" {
		t.Skip(emulate.Variable + " names no library; engine/cuda/emulate/host/make.sh makes one")
	}
	api, err := driver.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	version, gpus, err := list(api)
	if err != nil || version != "12.0" || len(gpus) != 1 || gpus[0] != "CPU that emulates, 8 GiB, compute capability 9.0" {
		t.Fatalf("%q %q %v", version, gpus, err)
	}
	d, err := New(api, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	g := graph.New(graph.Train)
	x, v := g.Input("x", tensor.Float32, 5, 3, 7, 6), &graph.Variable{Value: tensor.New(4, 3, 3, 3), Trainable: true}
	for i := range v.Value.Data() {
		v.Value.Data()[i] = float32(i%7) - 3
	}
	in := tensor.New(5, 3, 7, 6)
	for i := range in.Data() {
		in.Data()[i] = float32(i%11) - 5
	}
	conv := graph.Conv2d{StrideH: 2, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}
	y := g.Apply(graph.Dropout{P: 0.25, Stream: 1}, g.Apply(conv, x, g.Variable(v)), g.Key())
	loss := g.Apply(graph.Sum{}, g.Apply(graph.Mul{}, y, y))
	grad := graph.Gradients(loss, []*graph.Node{g.Variable(v)})[0]
	outputs := []*graph.Node{y, loss, grad}
	feeds := map[*graph.Node]*tensor.Tensor{x: in, g.Key(): tensor.FromInts([]int64{9})}
	want := conformance.Case{Graph: g, Feeds: feeds, Outputs: outputs}.Reference()
	for i, got := range conformance.Evaluate(t, d, g, feeds, engine.Spec{Outputs: outputs}) {
		conformance.Compare(t, outputs[i].String(), got, want[i], 1e-5, 0)
	}
	store := engine.NewStore(d)
	p, err := engine.Compile(g, store, engine.Spec{Outputs: outputs, Updates: []engine.Update{{Variable: v, Gradient: grad}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Feed(x, in); err != nil {
		t.Fatal(err)
	}
	before := append([]float32(nil), v.Value.Data()...)
	for range 3 { // launched, captured, and launched as a graph
		p.Run(9)
	}
	p.Step(optim.SGD{Momentum: 0.9}, 0.25)
	store.Pull()
	step := make([]float64, len(before))
	for i, w := range want[2] {
		step[i] = float64(before[i]) - 0.25*w
	}
	conformance.Compare(t, "the parameter after a step", v.Value.Data(), step, 1e-5, 0)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	d.Alloc(3 << 30)
	if err := d.Err(); err == nil || !strings.Contains(err.Error(), "12 GiB are needed") || !strings.Contains(err.Error(), "of 8 GiB are free") {
		t.Errorf("12 GiB of 8: %v", err)
	}
}

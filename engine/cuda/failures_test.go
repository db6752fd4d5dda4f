//go:build cuda

package cuda

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// scaledGraph is a graph of one variable, y = x + v.
func scaledGraph(n int) (*graph.Graph, *graph.Node, *graph.Node, *graph.Variable) {
	g := graph.New(graph.Train)
	x := g.Input("x", tensor.Float32, n, 3, 4, 4)
	v := &graph.Variable{Value: tensor.New(n, 3, 4, 4), Trainable: true}
	return g, x, x.Add(g.Variable(v)), v
}

// The error for too little memory says how much is needed and how much is free.
func TestTooLittleMemory(t *testing.T) {
	f := newFake()
	f.memory = 64 << 20
	d := f.open(t)
	g, _, y, _ := scaledGraph(1 << 20)
	_, err := engine.Compile(g, engine.NewStore(d), engine.Spec{Outputs: []*graph.Node{y}})
	if err == nil {
		t.Fatal("50 million values fit 64 MiB")
	}
	for _, want := range []string{"cuda:0 (Fake) has too little memory: 192 MiB are needed", "are free", "Batch", "Recompute"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %v", err)
	}
}

// Memory that is no longer referenced is freed and can be allocated again.
func TestMemoryIsUsedAgain(t *testing.T) {
	f := newFake()
	f.memory = 64 << 20
	d := f.open(t)
	for range 20 {
		b := d.Alloc(10 << 20 / 4)
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
		_ = b
	}
	d.Close()
	if f.used != 0 {
		t.Errorf("%d bytes are not given back", f.used)
	}
	d.Close() // closing it again has no effect
}

// Graphs of programs that are no longer referenced are destroyed.
func TestGraphsAreDestroyed(t *testing.T) {
	f := newFake()
	d := f.open(t)
	for range 8 {
		g, x, y, _ := scaledGraph(1)
		p, err := engine.Compile(g, engine.NewStore(d), engine.Spec{Outputs: []*graph.Node{y}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Feed(x, tensor.New(x.Shape...)); err != nil {
			t.Fatal(err)
		}
		p.Run(0)
		p.Run(0)
	}
	if f.graphs == 0 {
		t.Fatal("no graph was made")
	}
	for wait := time.Millisecond; f.graphs > 0 && wait < time.Second; wait *= 2 {
		runtime.GC()
		time.Sleep(wait)
		d.Alloc(chunkBytes)
	}
	if f.graphs != 0 {
		t.Errorf("%d graphs are left", f.graphs)
	}
}

// When a device is lost, the error quotes the driver, nothing more is computed, and memory
// of the host is not overwritten.
func TestLostDevice(t *testing.T) {
	f := newFake()
	d := f.open(t)
	g, x, y, v := scaledGraph(2)
	loss := g.Apply(graph.Sum{}, y)
	grad := graph.Gradients(loss, []*graph.Node{g.Variable(v)})[0]
	store := engine.NewStore(d)
	p, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{y, loss}, Updates: []engine.Update{{Variable: v, Gradient: grad}}})
	if err != nil {
		t.Fatal(err)
	}
	norm := p.Norm([]int{0})
	if err := p.Feed(x, tensor.New(2, 3, 4, 4)); err != nil {
		t.Fatal(err)
	}
	p.Run(0)
	p.Step(optim.SGD{Momentum: 0.9}, 0.1)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}

	f.lost = 719
	for i := range v.Value.Data() {
		v.Value.Data()[i] = 42
	}
	store.Pull()
	for _, w := range v.Value.Data() {
		if w != 42 {
			t.Fatalf("the host's value became %v", w)
		}
	}
	var cause *driver.Error
	err = d.Err()
	if !errors.As(err, &cause) || cause.Result != 719 || !strings.Contains(err.Error(), "cuda:0 (Fake) stopped working: cuMemcpyDtoHAsync: CUDA_ERROR_719 (719): the text of it") {
		t.Fatalf("%v", err)
	}
	launched := f.launched
	p.Run(1)
	p.Step(optim.SGD{Momentum: 0.9}, 0.1)
	if made, ok := p.Train(1, []engine.Pass{{Updater: optim.SGD{}, Counts: true}}, []*graph.Node{loss}, make([]float32, 1), nil); made != 0 || !ok || store.Step() != 2 {
		t.Errorf("%d passes are made, %v, in step %d", made, ok, store.Step())
	}
	p.Profile()
	if !math.IsNaN(norm()) || f.launched != launched {
		t.Error("a lost device computes")
	}
	if _, err := engine.Call(d, graph.Eval, func(n *graph.Node) *graph.Node { return n }, tensor.New(1, 1, 2, 2)); err == nil {
		t.Error("a lost device takes new programs")
	}
}

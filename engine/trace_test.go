package engine_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// TestTracePanics checks that Trace returns a misuse as an error, and that a mistake in a
// module passes through it.
func TestTracePanics(t *testing.T) {
	trace := func(forward func(*graph.Node) *graph.Node) error {
		_, err := engine.Trace(forward, graph.New(graph.Eval).Input("x", tensor.Float32, 2, 3))
		return err
	}
	err := trace(func(x *graph.Node) *graph.Node { return x.Slice(1, 2, 9) })
	if m := (*tensor.Misuse)(nil); !errors.As(err, &m) || !strings.Contains(err.Error(), "an input of shape [2, 3] does not fit: Slice: 2 to 9") {
		t.Errorf("a misuse became %v", err)
	}
	own := tensor.Misusef("Shuffle: 3 channels in groups of 2")
	if err := trace(func(*graph.Node) *graph.Node { panic(own) }); !errors.Is(err, own) {
		t.Errorf("a module's own misuse became %v", err)
	}

	var none []int
	for name, forward := range map[string]func(*graph.Node) *graph.Node{
		"lost count":         func(*graph.Node) *graph.Node { panic("lost count") },
		"index out of range": func(x *graph.Node) *graph.Node { return x.Slice(none[0], 0, 1) },
	} {
		func() {
			defer func() {
				r := recover()
				if _, is := r.(runtime.Error); !strings.Contains(fmt.Sprint(r), name) || is != (name != "lost count") {
					t.Errorf("%s passed as %v", name, r)
				}
			}()
			t.Errorf("%s became %v", name, trace(forward))
		}()
	}
}

// inner and outer are modules of a user's own, the one within the other.
type inner struct{}

func (inner) Forward(x *graph.Node) *graph.Node { return x.MatMul(x) }

type outer struct{ Inner inner }

func (o *outer) Forward(x *graph.Node) *graph.Node {
	return nn.Sequential{nn.ReLU{}, o.Inner}.Forward(x.Scale(2))
}

// TestTraceNamesTheOwnModule checks that the error of a shape names the operation, the shapes, the layer
// and the innermost module of the user's own, with its place in the source.
func TestTraceNamesTheOwnModule(t *testing.T) {
	_, err := engine.Trace((&outer{}).Forward, graph.New(graph.Eval).Input("x", tensor.Float32, 2, 3))
	for _, want := range []string{"MatMul: 3 columns of input 0 meet 2 rows", "(inputs [2, 3] [2, 3])", "layer 1 (inner)", "in engine_test.inner.Forward, trace_test.go:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	_, err = engine.Trace(nn.MaxPool2d{Kernel: 5}.Forward, graph.New(graph.Eval).Input("x", tensor.Float32, 1, 1, 3, 3))
	if err == nil || strings.Contains(err.Error(), "; in ") {
		t.Errorf("of a layer alone: %v", err)
	}
}

// Package nn provides the layers of neural networks, with PyTorch's names and semantics, and
// the functions on modules: initialisation, state dicts and summaries.
//
// A module is a struct with layers as exported fields and a method Forward. Forward adds
// operations to a graph; nothing is computed until package engine compiles and runs the
// graph. Parameters are found by reflection over the fields and are named by their path, as in
// PyTorch: see Named.
//
//	type Block struct {
//		Conv *nn.Conv2d
//		BN   *nn.BatchNorm2d
//	}
//
//	func (b *Block) Forward(x *graph.Node) *graph.Node {
//		return nn.ReLU{}.Forward(b.BN.Forward(b.Conv.Forward(x)))
//	}
//
// Layers with parameters have a constructor. It takes the arguments that PyTorch requires
// and, optionally, one struct with the others: nn.NewConv2d(3, 64, 7, nn.Conv{Stride: 2}).
// Layers without parameters are struct literals: nn.MaxPool2d{Kernel: 3, Stride: 2}. A pointer
// to one, &nn.MaxPool2d{Kernel: 3, Stride: 2}, is the same layer.
//
// A new layer has random weights with PyTorch's default distribution. The random generator
// depends only on the layer's class and sizes: there is no hidden state, and the same program
// gives the same numbers. Two layers of the same sizes are therefore equal until Init gives
// every parameter of a model random numbers of its own. Call Init before training. A layer made
// with Blank holds zeros instead, for weights that are loaded next.
//
// The important types are Module, the interface of all layers and networks; Sequential, a
// chain of modules; the layers Conv2d, BatchNorm2d, Linear and so on; Parameter and
// NamedParameter; CrossEntropyLoss; and Table, the result of Summary.
//
// Paths such as layer1.0.conv2 address the modules within a network: Replace and ReplaceHead
// exchange one for another, Cut and CutHead end the network at one, and Activations returns
// their outputs.
package nn

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Module is a layer, or anything made of layers.
type Module interface {
	// Forward adds the module's operations on x to the graph of x and returns the
	// resulting node. It panics with a tensor.Misuse if the module does not accept the shape
	// of x. If Forward ends with Graph.Record, the module has a row in summaries.
	Forward(x *graph.Node) *graph.Node
}

// Zeroer is a layer whose parameters can be set so that it returns 0 for every input: a batch
// norm or a convolution.
type Zeroer interface {
	Module
	Zero()
}

// Parameter is a variable of a module: a parameter if Trainable is set, which training
// changes, and otherwise a buffer, such as a running mean.
type Parameter = graph.Variable

// Sequential chains modules: https://pytorch.org/docs/stable/generated/torch.nn.Sequential.html.
// It is a slice, so it can be ranged over, indexed, appended to, and made from
// a []Module by conversion.
type Sequential []Module

// Forward passes x to the first module, its output to the second, and so on.
func (s Sequential) Forward(x *graph.Node) *graph.Node {
	g, first, firstCall := x.Graph, len(x.Graph.Nodes), len(x.Graph.Calls)
	for i, m := range s {
		from, calls := len(g.Nodes), len(g.Calls)
		x = s.layer(i, x)
		if n := len(g.Calls); n == calls || identity(g.Calls[n-1].Module) != identity(m) {
			g.Record(m, from, x) // a module that does not record itself
		}
		g.Enclose(calls)
	}
	g.Record(s, first, x)
	g.Enclose(firstCall)
	return x
}

// layer passes x to module i. If that panics because a shape does not fit, the panic says which
// layer it is, unless it already names a parameter of the layer.
func (s Sequential) layer(i int, x *graph.Node) *graph.Node {
	defer func() {
		m := tensor.Recovered(recover())
		if m == nil {
			return
		}
		text, within := strings.CutPrefix(m.Error(), "layer ")
		switch {
		case within:
			panic(tensor.Misusef("layer %d.%s", i, text))
		case !strings.Contains(text, " (of "):
			panic(tensor.Misusef("layer %d (%s): %w", i, Class(s[i]), m))
		}
		panic(m)
	}()
	return s[i].Forward(x)
}

func (s Sequential) String() string {
	var b strings.Builder
	b.WriteString("Sequential(\n")
	for i, m := range s {
		text := Class(m)
		if named, ok := m.(fmt.Stringer); ok {
			text = strings.ReplaceAll(named.String(), "\n", "\n  ")
		}
		fmt.Fprintf(&b, "  (%d): %s\n", i, text)
	}
	return b.String() + ")"
}

// Identity returns its input.
type Identity struct{}

func (m Identity) Forward(x *graph.Node) *graph.Node {
	return x.Graph.Record(m, len(x.Graph.Nodes), x)
}

func (Identity) String() string { return "Identity()" }

// Class returns the name of m's type without its package, such as "Conv2d".
func Class(m any) string {
	t := reflect.TypeOf(m)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// plain returns the module that a pointer leads to, if that is a module itself: &ReLU{} is the
// same layer as ReLU{}, whose Forward records the value.
func plain(m any) any {
	if v := reflect.ValueOf(m); v.Kind() == reflect.Pointer && !v.IsNil() && v.Type().Elem().Implements(moduleType) {
		return v.Elem().Interface()
	}
	return m
}

// identity returns a comparable value that distinguishes m from other modules. Modules
// without fields cannot be distinguished and are equal.
func identity(m any) any {
	m = plain(m)
	v := reflect.ValueOf(m)
	if v.Kind() == reflect.Slice {
		return [2]uintptr{v.Pointer(), uintptr(v.Len())}
	}
	if !v.Comparable() {
		return v.Type()
	}
	return m
}

// one returns the only element of an optional configuration, or its zero value.
func one[T any](class string, c []T) T {
	var zero T
	switch len(c) {
	case 0:
		return zero
	case 1:
		return c[0]
	}
	panic(tensor.Misusef("nn.%s: takes at most one %T, got %d", class, zero, len(c)))
}

// misfit panics with the layer, its path in the model if that is known, and the shape of its
// input.
func misfit(layer fmt.Stringer, p *Parameter, x *graph.Node, why string, args ...any) {
	where := ""
	if p != nil && p.Name != "" {
		where = " (of " + p.Name + ")"
	}
	panic(tensor.Misusef("nn: %v%s: input %v: %s", layer, where, x.Shape, fmt.Sprintf(why, args...)))
}

var (
	variableType = reflect.TypeFor[*graph.Variable]()
	moduleType   = reflect.TypeFor[Module]()
	nodeType     = reflect.TypeFor[*graph.Node]() // a node leads to modules outside of m
	graphType    = reflect.TypeFor[*graph.Graph]()
)

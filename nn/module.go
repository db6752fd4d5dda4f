// Package nn holds the layers that networks are made of, with PyTorch's names
// and semantics: modules, losses, initialisers, state dicts and summaries.
//
// A module is a plain struct with layers as exported fields and a Forward that
// builds a symbolic computation; nothing is computed until an engine runs it.
// Parameters are found by walking the fields and are named by their path, as
// PyTorch's are: see Named.
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
// Layers with parameters come from a constructor that takes what PyTorch
// demands and, at will, one struct with the rest. Layers without parameters are
// struct literals: nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1}.
//
// A new layer holds PyTorch's default weights, drawn from a source that depends
// on the layer's class and sizes alone: there is no hidden random state, and the
// same program gives the same numbers. Two layers of the same sizes therefore
// start equal until Init draws every parameter of a model from a stream of its
// own; call it before training. A layer made Blank holds zeros instead, for weights
// that are loaded next.
package nn

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/residual-ml/residual/graph"
)

// Module is a layer, or anything made of layers.
type Module interface {
	// Forward adds the module's computation on x to x's graph and returns its
	// result. It panics when x does not have a shape that the module takes. A
	// Forward that ends in Graph.Record gets a row in summaries.
	Forward(x *graph.Node) *graph.Node
}

// Zeroer is a layer that can be made to return 0 whatever it is given: a batch
// norm or a convolution.
type Zeroer interface {
	Module
	Zero()
}

// Parameter is a value of a module that outlives a run. Those with Trainable
// set are trained; the others are buffers.
type Parameter = graph.Variable

// Sequential chains modules: https://pytorch.org/docs/stable/generated/torch.nn.Sequential.html.
// It is a slice, so it can be ranged over, indexed, appended to, and made from
// a []Module by conversion.
type Sequential []Module

// Forward gives x to the first module, its output to the second, and so on.
func (s Sequential) Forward(x *graph.Node) *graph.Node {
	g, first, firstCall := x.Graph, len(x.Graph.Nodes), len(x.Graph.Calls)
	for _, m := range s {
		from, calls := len(g.Nodes), len(g.Calls)
		x = m.Forward(x)
		if n := len(g.Calls); n == calls || identity(g.Calls[n-1].Module) != identity(m) {
			g.Record(m, from, x) // a module that does not record itself
		}
		g.Enclose(calls)
	}
	g.Record(s, first, x)
	g.Enclose(firstCall)
	return x
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

// Class returns the name of m's type without its package: "Conv2d".
func Class(m any) string {
	t := reflect.TypeOf(m)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// identity returns a comparable value that tells m from other modules, as far
// as they can be told: values without fields are equal.
func identity(m any) any {
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
	panic(fmt.Sprintf("nn.%s: takes at most one %T, got %d", class, zero, len(c)))
}

// misfit panics with the layer, its place in the model where it is known, and
// the shape it was given.
func misfit(layer fmt.Stringer, p *Parameter, x *graph.Node, why string, args ...any) {
	where := ""
	if p != nil && p.Name != "" {
		where = " (of " + p.Name + ")"
	}
	panic(fmt.Sprintf("nn: %v%s: input %v: %s", layer, where, x.Shape, fmt.Sprintf(why, args...)))
}

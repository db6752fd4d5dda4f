package quant

import (
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
)

// Candidate is a layer that can be quantised.
type Candidate struct {
	Name   string          // of its weight
	Weight *graph.Variable // [channels, ...]
	Node   *graph.Node     // the graph.Conv2d or graph.Linear
}

// Layers lists the layers on the way to out that can be quantised, in the order of the graph: every
// convolution and linear layer that is used once, whose weight is a parameter of m and whose input
// is never negative. The graph must be that of m without a scheme.
func Layers(m nn.Module, out *graph.Node) []Candidate {
	names := map[*graph.Variable]string{}
	for _, p := range nn.Named(m) {
		names[p.Variable] = p.Name
	}
	var list []Candidate
	uses := map[*graph.Variable]int{}
	for _, n := range before(out) {
		w := weightOf(n.Op, n.Inputs)
		if w == nil {
			continue
		}
		uses[w]++
		if name := names[w]; name != "" && notNegative(n.Inputs[0]) {
			list = append(list, Candidate{name, w, n})
		}
	}
	once := list[:0]
	for _, c := range list {
		if uses[c.Weight] == 1 {
			once = append(once, c)
		}
	}
	return once
}

// Value is an activation that has a Grid when layers are quantised.
type Value struct {
	Name     string      // such as layer1.0.conv1.weight:input, or :output for a shortcut, or :sum
	Node     *graph.Node // in the graph without a scheme
	Readers  []string    // the candidates that read it
	Shortcut string      // otherwise, the candidate whose output it is, which a residual block adds as its shortcut,
	Term     string      // or the candidate whose output it is, which a block adds to its shortcut
}

// Values lists the values that candidates need: first, in the order of the graph, their inputs,
// and then the outputs of those that are the shortcut of a residual block, or its other term. A value
// that several candidates read is listed once, with the name of the first.
func Values(candidates []Candidate, out *graph.Node) []Value {
	var values []Value
	at, weights := map[*graph.Node]int{}, map[*graph.Variable]string{}
	for _, c := range candidates {
		weights[c.Weight] = c.Name
		n := c.Node.Inputs[0]
		if i, ok := at[n]; ok {
			values[i].Readers = append(values[i].Readers, c.Name)
			continue
		}
		at[n] = len(values)
		values = append(values, Value{Name: c.Name + ":input", Node: n, Readers: []string{c.Name}})
	}
	for _, n := range before(out) {
		if s := shortcut(n); s != nil {
			name := weights[layerBehind(s)]
			if _, done := at[s]; name != "" && !done {
				at[s] = len(values)
				values = append(values, Value{Name: name + ":output", Node: s, Shortcut: name})
			}
		}
	}
	for _, n := range before(out) {
		if _, ok := n.Op.(graph.Add); !ok {
			continue
		}
		for _, term := range n.Inputs {
			name := weights[layerBehind(term)]
			if _, done := at[term]; name != "" && !done {
				at[term] = len(values)
				values = append(values, Value{Name: name + ":sum", Node: term, Term: name})
			}
		}
	}
	return values
}

// Set adds a grid to the layers of s that read v, or to the layer whose output v is. Layers that
// s does not have stay in floating point.
func (s *Scheme) Set(v Value, g Grid) {
	for _, name := range v.Readers {
		if l, ok := s.Layers[name]; ok {
			l.Input = g
			s.Layers[name] = l
		}
	}
	if l, ok := s.Layers[v.Shortcut]; ok {
		l.Output = &g
		s.Layers[v.Shortcut] = l
	}
	if l, ok := s.Layers[v.Term]; ok {
		l.Sum = &g
		s.Layers[v.Term] = l
	}
}

// shortcut returns the term of a residual block's sum that is the shortcut, if both terms are
// outputs of layers: the one whose layer reads the earlier value. Otherwise it returns nil.
func shortcut(sum *graph.Node) *graph.Node {
	if _, ok := sum.Op.(graph.Add); !ok {
		return nil
	}
	source := func(n *graph.Node) int {
		if _, ok := n.Op.(graph.BatchNorm); ok {
			n = n.Inputs[0]
		}
		return n.Inputs[0].ID
	}
	a, b := sum.Inputs[0], sum.Inputs[1]
	switch {
	case layerBehind(a) == nil || layerBehind(b) == nil || source(a) == source(b):
		return nil
	case source(a) < source(b):
		return a
	}
	return b
}

// before lists the nodes that out depends on, and out, in the order of the graph.
func before(out *graph.Node) []*graph.Node {
	needed := map[*graph.Node]bool{out: true}
	for id := out.ID; id >= 0; id-- {
		if n := out.Graph.Nodes[id]; needed[n] {
			for _, in := range n.Inputs {
				needed[in] = true
			}
		}
	}
	var list []*graph.Node
	for _, n := range out.Graph.Nodes[:out.ID+1] {
		if needed[n] {
			list = append(list, n)
		}
	}
	return list
}

// notNegative reports whether all elements of n are known to be at least 0.
func notNegative(n *graph.Node) bool {
	all := func() bool {
		for _, in := range n.Inputs {
			if !notNegative(in) {
				return false
			}
		}
		return len(n.Inputs) > 0
	}
	switch op := n.Op.(type) {
	case graph.ReLU, graph.Sigmoid, graph.Softmax:
		return true
	case graph.Unary:
		return op.Function == graph.Clamp && op.A >= 0 || op.Function == graph.Hardsigmoid || op.Function == graph.Exp || op.Function == graph.Abs
	case graph.Take:
		return op.Fill >= 0 && all()
	case graph.MaxPool2d, graph.AvgPool2d, graph.AdaptiveAvgPool2d, graph.Reshape, graph.Transpose, graph.Concat, graph.Add, graph.Mul, graph.PadChannels, graph.TakeChannels, graph.Detach, graph.Reduce:
		return all()
	}
	return false
}

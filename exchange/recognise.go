package exchange

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Recognise finds the model of the registry that computes the same as the network, operation
// by operation, and returns it with the network's weights. So the weights get the model's own
// names, and the model can be trained further. If the network's batch norms are folded into
// its convolutions, the model's batch norms are set to only add the bias. Models with other
// numbers of blocks are tried if no model with its own numbers fits, and then the variants of
// models.Entry.WithStem. For a quantised graph the
// module is a *quant.Net.
//
// Several models may compute the same, also because folding hides a difference, and yet take
// images that are prepared differently. Recognise then takes the one named likely; or else
// the one that shares the most names with the network, whatever their prefix; or else the one
// whose size, channels and classes match the network's best. If this does not decide, the
// error is an UnsaidError. If no model fits, the error lists the models that were tried.
func Recognise(n *Network, likely string) (models.Match, nn.Module, error) {
	shapes := n.shapes()
	var usual, stemmed []models.Entry
	for _, name := range models.Names() {
		e, err := models.Lookup(name)
		if err != nil {
			return models.Match{}, nil, err
		}
		usual, stemmed = append(usual, e), append(stemmed, variants(e)...)
	}
	for _, entries := range [][]models.Entry{usual, stemmed} {
		var own, others []models.Match
		for _, e := range entries {
			c := models.Config{Channels: n.Input.Channels, Classes: n.Classes}
			own = append(own, models.Match{Entry: e, Config: c})
			for _, named := range shapes {
				if counted, err := e.Configured(named); err == nil && counted.Config.Blocks != nil {
					c.Blocks = counted.Config.Blocks
					others = append(others, models.Match{Entry: e, Config: c})
				}
			}
		}
		for _, tried := range [][]models.Match{own, others} {
			best, found, err := recognise(n, tried, likely)
			if found != nil || err != nil {
				return best, found, err
			}
		}
	}
	return models.Match{}, nil, fmt.Errorf("the graph is none of the networks known by name (%s)", strings.Join(models.Names(), ", "))
}

// recognise is Recognise among the tried matches. The module is nil if none of them fits.
func recognise(n *Network, tried []models.Match, likely string) (models.Match, nn.Module, error) {
	var found []candidate
	for _, t := range tried {
		if m := filledModel(n, t); m != nil {
			if t.Entry.Name == likely {
				return t, m, nil
			}
			twin := func(c candidate) bool { return c.match.Entry.Family == t.Entry.Family && t.Entry.Family != "" }
			if !slices.ContainsFunc(found, twin) { // models of a family differ only in their blocks
				found = append(found, candidate{t, m, n.sharedNames(m)})
			}
		}
	}
	if len(found) == 0 {
		return models.Match{}, nil, nil
	}
	highest := slices.MaxFunc(found, func(a, b candidate) int { return cmp.Compare(a.shared, b.shared) }).shared
	found = slices.DeleteFunc(found, func(c candidate) bool { return c.shared < highest })
	found = slices.DeleteFunc(slices.Clone(found), func(c candidate) bool {
		return slices.ContainsFunc(found, func(d candidate) bool { return d.fitsBetter(n, c) })
	})
	if len(found) > 1 {
		var names []string
		for _, c := range found {
			names = append(names, c.match.Title())
		}
		return models.Match{}, nil, &UnsaidError{Why: fmt.Sprintf("the graph computes the same as %s, which take differently prepared images; neither its names nor its size, channels and classes tell which model it is",
			strings.Join(names, " and ")), Fields: []string{"Model"}}
	}
	return found[0].match, found[0].module, nil
}

// candidate is a model that computes the same as the network.
type candidate struct {
	match  models.Match
	module nn.Module
	shared int // how many names it shares with the network
}

// fitsBetter reports whether c matches the network in everything in which other does, and in more.
func (c candidate) fitsBetter(n *Network, other candidate) bool {
	mine, theirs := n.likeness(c.match.Entry), n.likeness(other.match.Entry)
	return mine != theirs && mine&theirs == theirs
}

// likeness has a bit for each of channels, classes and size that is equal in the entry and the network.
func (n *Network) likeness(e models.Entry) (bits int) {
	in := n.Input
	for i, same := range []bool{
		in.Channels == e.Channels, n.Classes == e.Classes,
		(in.Height > 0 || in.Width > 0) && cmp.Or(in.Height, in.Width) == e.Height && cmp.Or(in.Width, in.Height) == e.Width,
	} {
		if same {
			bits |= 1 << i
		}
	}
	return bits
}

// maxPrefix is how many words a graph may put before the names of a net, such as
// module.model.backbone.
const maxPrefix = 4

// possibleNames visits the names that a parameter of a graph may have in a net: its name without up
// to maxPrefix first words, the prefix, and each of these translated from Hugging Face's.
func possibleNames(name string, visit func(prefix, name string)) {
	suffix := name
	for range maxPrefix + 1 {
		prefix := name[:len(name)-len(suffix)]
		visit(prefix, suffix)
		if other, ok := torchvisionName(suffix); ok {
			visit(prefix, other)
		}
		var ok bool
		if _, suffix, ok = strings.Cut(suffix, "."); !ok {
			return
		}
	}
}

// shapes lists the shapes of the network's parameters by the names that they may have in a
// model, one map for each prefix.
func (n *Network) shapes() []map[string]tensor.Shape {
	by := map[string]map[string]tensor.Shape{}
	for _, p := range nn.Named(n) {
		possibleNames(p.Name, func(prefix, name string) {
			if by[prefix] == nil {
				by[prefix] = map[string]tensor.Shape{}
			}
			by[prefix][name] = p.Value.Shape()
		})
	}
	var all []map[string]tensor.Shape
	for _, prefix := range slices.Sorted(maps.Keys(by)) {
		if len(by[prefix]) > 1 {
			all = append(all, by[prefix])
		}
	}
	return all
}

// filledModel builds the model of a match with the network's weights. It returns nil if the model
// computes something else.
func filledModel(n *Network, match models.Match) nn.Module {
	e, c := match.Entry, match.Config
	h, w := n.Input.Height, n.Input.Width
	if h == 0 || w == 0 {
		h, w = e.Height, e.Width
	}
	if e.FixedSize && (h != e.Height || w != e.Width) {
		return nil
	}
	// Compare the numbers of parameters first, so that no large model is built in vain.
	// Folding removes those of the batch norms, far less than a fifth of all.
	if e.Check(c) != nil {
		return nil
	}
	if trains, has := e.Count(c), nn.Count(n); e.Params > 0 && (trains < has || trains > has+has/4) {
		return nil
	}
	theirs, err := traced(n.Forward, n.Input.Channels, h, w)
	if err != nil {
		return nil // for example, the image is too small
	}
	c.Blank = true
	var m nn.Module
	ours, err := traced(func(x *graph.Node) *graph.Node {
		m = e.New(c)
		return m.Forward(x)
	}, n.Input.Channels, h, w)
	if err != nil {
		return nil
	}
	nodes := matcher{pairs: map[[2]*graph.Node]bool{}, values: map[*graph.Variable][]float32{}, rounded: map[reading]graph.FakeQuantize{}}
	if nodes.same(ours, theirs) && nodes.take(ours, theirs) && nodes.fill(m) {
		return nodes.quantised(m, ours)
	}
	return nil
}

// sharedNames counts the parameters of m whose names the network has too, after one common
// prefix.
func (n *Network) sharedNames(m nn.Module) (highest int) {
	have := map[string]bool{}
	for _, p := range nn.Named(m) {
		have[p.Name] = true
	}
	by := map[string]int{}
	for _, p := range nn.Named(n) {
		possibleNames(p.Name, func(prefix, name string) {
			if have[name] {
				by[prefix]++
				highest = max(highest, by[prefix])
			}
		})
	}
	return highest
}

// traced returns the output node of forward for one image.
func traced(forward func(*graph.Node) *graph.Node, channels, h, w int) (*graph.Node, error) {
	g := graph.New(graph.Eval)
	return engine.Trace(forward, g.Input(InputName, tensor.Float32, 1, channels, h, w))
}

// matcher compares the trace of a model (a) with that of an imported network (b), from the
// output towards the input.
type matcher struct {
	pairs   map[[2]*graph.Node]bool // the results of same so far
	values  map[*graph.Variable][]float32
	rounded map[reading]graph.FakeQuantize // what b rounds the inputs of nodes of a to
}

// essential skips reshapes that do not change the shape.
func essential(n *graph.Node) *graph.Node {
	for {
		if _, ok := n.Op.(graph.Reshape); !ok || !n.Shape.Equal(n.Inputs[0].Shape) {
			return n
		}
		n = n.Inputs[0]
	}
}

// same reports whether a and b compute the same apart from the values of their weights.
func (m *matcher) same(a, b *graph.Node) bool {
	a, b = essential(a), essential(b)
	key := [2]*graph.Node{a, b}
	answer, ok := m.pairs[key]
	if !ok {
		answer = m.compare(a, b)
		m.pairs[key] = answer
	}
	return answer
}

// compare is same without the memory of earlier results.
func (m *matcher) compare(a, b *graph.Node) bool {
	if !a.Shape.Equal(b.Shape) {
		return false
	}
	if op, ok := b.Op.(graph.FakeQuantize); ok {
		return m.unrounded(a, b, op) != nil
	}
	if _, ok := constantValues(a); ok {
		_, ok := constantValues(b)
		return ok
	}
	if foldedInto(a, b) {
		layer := a.Inputs[0]
		return reflect.DeepEqual(layer.Op, b.Op) && layer.Inputs[1].Shape.Equal(b.Inputs[1].Shape) && m.same(layer.Inputs[0], b.Inputs[0])
	}
	if unscaled(a, b) == nil && (len(a.Inputs) != len(b.Inputs) || !sameOp(a, b)) {
		return false
	}
	return m.order(a, b) != nil
}

// foldedInto reports whether a is a batch norm after a layer and b a layer that may combine
// both. b may lack a bias, since PyTorch's newer exporter leaves out a bias of 0.
func foldedInto(a, b *graph.Node) bool {
	if _, ok := a.Op.(graph.BatchNorm); !ok {
		return false
	}
	switch b.Op.(type) {
	case graph.Conv2d, graph.Linear:
		return true
	}
	return false
}

// order returns b's inputs in the order in which they match a's, or nil if they do not. The
// inputs of sums and products may be swapped.
func (m *matcher) order(a, b *graph.Node) []*graph.Node {
	in := b.Inputs
	if x := unscaled(a, b); x != nil {
		in = []*graph.Node{x}
	}
	match := func(in []*graph.Node) bool {
		for i := range in {
			if !m.same(a.Inputs[i], in[i]) {
				return false
			}
		}
		return true
	}
	if match(in) {
		return append([]*graph.Node{}, in...)
	}
	switch a.Op.(type) {
	case graph.Add, graph.Mul:
		if swapped := []*graph.Node{in[1], in[0]}; match(swapped) {
			return swapped
		}
	}
	return nil
}

// unscaled returns what b multiplies by a number, if a is a Scale by the same number; else nil.
// An imported network has an Affine there, which is a batch norm.
func unscaled(a, b *graph.Node) *graph.Node {
	by, isScale := a.Op.(graph.Scale)
	bn, isNorm := b.Op.(graph.BatchNorm)
	if !isScale || !isNorm || !bn.Frozen || bn.Eps != 0 || len(b.Inputs[1].Inputs) != 2 {
		return nil
	}
	stats := b.Inputs[1].Inputs
	for _, all := range []struct {
		of *graph.Node
		is float64
	}{{stats[0], 0}, {stats[1], 1}, {b.Inputs[2], by.Factor}, {b.Inputs[3], 0}} {
		values, ok := constantValues(all.of)
		if !ok || slices.ContainsFunc(values, func(v float32) bool { return v != float32(all.is) }) {
			return nil
		}
	}
	return b.Inputs[0]
}

// sameOp reports whether the operations of two nodes are equal.
func sameOp(a, b *graph.Node) bool {
	switch x := a.Op.(type) {
	case *graph.Input:
		_, ok := b.Op.(*graph.Input)
		return ok
	case graph.BatchNorm:
		y, ok := b.Op.(graph.BatchNorm)
		return ok && x.Frozen == y.Frozen && math.Abs(x.Eps-y.Eps) <= 1e-6*x.Eps
	case graph.Reshape:
		_, ok := b.Op.(graph.Reshape)
		return ok
	case graph.AdaptiveAvgPool2d:
		if y, ok := b.Op.(graph.AvgPool2d); ok { // one window over the whole image
			s := b.Inputs[0].Shape
			return x.H == 1 && x.W == 1 && y.KH == s[2] && y.KW == s[3] && y.PadH == 0 && y.PadW == 0 && y.Divisor == 0
		}
	}
	return reflect.DeepEqual(a.Op, b.Op)
}

// take records the weights of b, and of everything b depends on, as those of a. It reports
// false if a parameter of the model would get two different values.
func (m *matcher) take(a, b *graph.Node) bool {
	seen := map[[2]*graph.Node]bool{}
	var visit func(a, b *graph.Node) bool
	visit = func(a, b *graph.Node) bool {
		a, b = essential(a), essential(b)
		if seen[[2]*graph.Node{a, b}] {
			return true
		}
		seen[[2]*graph.Node{a, b}] = true
		if values, ok := constantValues(b); ok {
			return m.note(a, values)
		}
		if op, ok := b.Op.(graph.FakeQuantize); ok {
			return visit(m.unrounded(a, b, op), b.Inputs[0])
		}
		if foldedInto(a, b) {
			m.noteRounding(a.Inputs[0], b.Inputs)
			return m.unfold(a, b) && visit(a.Inputs[0].Inputs[0], b.Inputs[0])
		}
		m.noteRounding(a, m.order(a, b))
		for i, in := range m.order(a, b) {
			if !visit(a.Inputs[i], in) {
				return false
			}
		}
		return true
	}
	return visit(a, b)
}

// note records the values of a variable. A constant must have these values already.
func (m *matcher) note(n *graph.Node, values []float32) bool {
	if l, ok := n.Op.(*graph.Leaf); ok {
		old, again := m.values[l.Variable]
		m.values[l.Variable] = values
		return !again || slices.Equal(old, values)
	}
	own, _ := constantValues(n)
	return slices.Equal(own, values)
}

// unfold gives b's weight to the layer before the batch norm bn, and b's bias to bn, whose
// mean becomes 0 and whose variance becomes 1 - eps, so that it divides by 1.
func (m *matcher) unfold(bn, b *graph.Node) bool {
	layer := bn.Inputs[0]
	weight, _ := constantValues(unquantised(b.Inputs[1]))
	channels := b.Inputs[1].Shape[0]
	bias := make([]float32, channels)
	if len(b.Inputs) == 3 {
		var ok bool
		if bias, ok = constantValues(b.Inputs[2]); !ok {
			return false
		}
	}
	all := func(v float64) []float32 { return tensor.New(channels).Fill(float32(v)).Data() }
	good := m.note(layer.Inputs[1], weight)
	if len(layer.Inputs) == 3 {
		good = good && m.note(layer.Inputs[2], all(0))
	}
	stats := bn.Inputs[1]
	return good && m.note(stats.Inputs[0], all(0)) && m.note(stats.Inputs[1], all(1-bn.Op.(graph.BatchNorm).Eps)) &&
		m.note(bn.Inputs[2], all(1)) && m.note(bn.Inputs[3], bias)
}

// fill copies the recorded values into the model. It reports false if a parameter has none.
func (m *matcher) fill(module nn.Module) bool {
	for _, p := range nn.Named(module) {
		values, ok := m.values[p.Variable]
		if !ok || len(values) != p.Value.Numel() {
			return false
		}
		copy(p.Value.Data(), values)
	}
	return true
}

package exchange

import (
	"fmt"
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

// Recognise finds the model of the registry that computes what the network does,
// operation by operation, and returns it with the network's weights: so they get
// the model's own names, and can be trained further. Where the network's batch
// norms are folded into its convolutions, the model's become ones that only add
// the bias. Folding can make two models the same; then the one called likely is
// taken, or else the one that shares most names with the network. Where none has as
// many blocks, those with the blocks that the network's names count are tried. The
// error lists the models that were tried.
func Recognise(n *Network, likely string) (models.Match, nn.Module, error) {
	shapes := map[string]tensor.Shape{}
	for _, p := range nn.Named(n) {
		shapes[p.Name] = p.Value.Shape()
	}
	var own, others []models.Match
	for _, name := range models.Names() {
		e, err := models.Lookup(name)
		if err != nil {
			return models.Match{}, nil, err
		}
		c := models.Config{Channels: n.Input.Channels, Classes: n.Classes}
		own = append(own, models.Match{Entry: e, Config: c})
		if counted, err := e.Configured(shapes); err == nil && counted.Config.Blocks != nil {
			c.Blocks = counted.Config.Blocks
			others = append(others, models.Match{Entry: e, Config: c})
		}
	}
	for _, tried := range [][]models.Match{own, others} {
		if best, found := recognise(n, tried, likely); found != nil {
			return best, found, nil
		}
	}
	return models.Match{}, nil, fmt.Errorf("the graph is none of the networks known by name (%s)", strings.Join(models.Names(), ", "))
}

func recognise(n *Network, tried []models.Match, likely string) (best models.Match, found nn.Module) {
	most := -1
	for _, t := range tried {
		m := filled(n, t)
		if m == nil {
			continue
		}
		if t.Entry.Name == likely {
			return t, m
		}
		if shared := n.sharedNames(m); shared > most {
			best, found, most = t, m, shared
		}
	}
	return best, found
}

// filled returns the model of a match with the network's weights, nil where it
// computes something else.
func filled(n *Network, match models.Match) nn.Module {
	e, c := match.Entry, match.Config
	h, w := n.Input.Height, n.Input.Width
	if h == 0 || w == 0 {
		h, w = e.Height, e.Width
	}
	if e.FixedSize && (h != e.Height || w != e.Width) {
		return nil
	}
	theirs, err := traced(n.Forward, n.Input.Channels, h, w)
	if err != nil {
		return nil // as of an image too small for it
	}
	// Folding takes away the weights of the batch norms, far less than a fifth of
	// all; so a large model is not made in vain.
	if e.Check(c) != nil {
		return nil
	}
	if trains, has := e.Count(c), nn.Count(n); e.Params > 0 && (trains < has || trains > has+has/4) {
		return nil
	}
	var m nn.Module
	ours, err := traced(func(x *graph.Node) *graph.Node {
		m = e.New(c)
		return m.Forward(x)
	}, n.Input.Channels, h, w)
	if err != nil {
		return nil
	}
	nodes := matcher{pairs: map[[2]*graph.Node]bool{}, values: map[*graph.Variable][]float32{}}
	if nodes.same(ours, theirs) && nodes.take(ours, theirs) && nodes.fill(m) {
		return m
	}
	return nil
}

// sharedNames counts the parameters of the network whose names m has too.
func (n *Network) sharedNames(m nn.Module) (count int) {
	have := map[string]bool{}
	for _, p := range nn.Named(m) {
		have[p.Name] = true
	}
	for _, p := range nn.Named(n) {
		if have[p.Name] {
			count++
		}
	}
	return count
}

// traced returns the result of forward on one image.
func traced(forward func(*graph.Node) *graph.Node, channels, h, w int) (*graph.Node, error) {
	g := graph.New(graph.Eval)
	return engine.Trace(forward, g.Input(InputName, tensor.Float32, 1, channels, h, w))
}

// matcher compares the trace of a model (a) with that of an imported network (b),
// from their outputs back.
type matcher struct {
	pairs  map[[2]*graph.Node]bool // known answers of same
	values map[*graph.Variable][]float32
}

// essential passes over what changes nothing.
func essential(n *graph.Node) *graph.Node {
	for {
		if _, ok := n.Op.(*graph.Reshape); !ok || !n.Shape.Equal(n.Inputs[0].Shape) {
			return n
		}
		n = n.Inputs[0]
	}
}

// same reports whether a and b compute the same, whatever their weights.
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

func (m *matcher) compare(a, b *graph.Node) bool {
	if !a.Shape.Equal(b.Shape) {
		return false
	}
	if _, ok := constantValues(a); ok {
		_, ok := constantValues(b)
		return ok
	}
	if foldedInto(a, b) {
		layer := a.Inputs[0]
		return reflect.DeepEqual(layer.Op, b.Op) && layer.Inputs[1].Shape.Equal(b.Inputs[1].Shape) && m.same(layer.Inputs[0], b.Inputs[0])
	}
	if len(a.Inputs) != len(b.Inputs) || !sameOp(a, b) {
		return false
	}
	return m.order(a, b) != nil
}

// foldedInto reports whether a is a batch norm after a layer, and b a layer that can
// hold both. PyTorch's newer exporter leaves its bias out where it is 0.
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

// order returns b's inputs in the order in which they match a's, nil when they
// do not. Sums and products do not mind theirs.
func (m *matcher) order(a, b *graph.Node) []*graph.Node {
	in := b.Inputs
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

func sameOp(a, b *graph.Node) bool {
	switch x := a.Op.(type) {
	case *graph.Input:
		_, ok := b.Op.(*graph.Input)
		return ok
	case graph.BatchNorm:
		y, ok := b.Op.(graph.BatchNorm)
		return ok && x.Frozen == y.Frozen && math.Abs(x.Eps-y.Eps) <= 1e-6*x.Eps
	case *graph.Reshape:
		_, ok := b.Op.(*graph.Reshape)
		return ok
	case graph.AdaptiveAvgPool2d:
		if y, ok := b.Op.(graph.AvgPool2d); ok { // one window over the whole image
			s := b.Inputs[0].Shape
			return x.H == 1 && x.W == 1 && y.KH == s[2] && y.KW == s[3] && y.PadH == 0 && y.PadW == 0 && y.Divisor == 0
		}
	}
	return reflect.DeepEqual(a.Op, b.Op)
}

// take notes the weights of a pair that is the same, and of what it depends on.
// It reports whether each of the model's gets one value.
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
		if foldedInto(a, b) {
			return m.unfold(a, b) && visit(a.Inputs[0].Inputs[0], b.Inputs[0])
		}
		for i, in := range m.order(a, b) {
			if !visit(a.Inputs[i], in) {
				return false
			}
		}
		return true
	}
	return visit(a, b)
}

// note gives a variable its values; a constant must have them already.
func (m *matcher) note(n *graph.Node, values []float32) bool {
	if l, ok := n.Op.(*graph.Leaf); ok {
		old, again := m.values[l.Variable]
		m.values[l.Variable] = values
		return !again || slices.Equal(old, values)
	}
	own, _ := constantValues(n)
	return slices.Equal(own, values)
}

// unfold gives the layer before the batch norm bn the weight of b, and bn its
// bias: with mean 0 and a variance of 1 less eps, so that it divides by 1.
func (m *matcher) unfold(bn, b *graph.Node) bool {
	layer := bn.Inputs[0]
	weight, _ := constantValues(b.Inputs[1])
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

// fill copies the values into the model; all of its parameters must have one.
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

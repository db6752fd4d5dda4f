package engine

import (
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// lowering turns the nodes that outputs depend on into steps over values.
type lowering struct {
	g         *graph.Graph
	precision Precision
	store     *Store
	values    map[*graph.Node]*Value
	converts  map[convertKey]*Value
	steps     []Step
	count     int
}

type convertKey struct {
	v *Value
	l Layout
	t tensor.DType
}

func lower(g *graph.Graph, store *Store, precision Precision, outputs []*graph.Node) (*lowering, error) {
	lo := &lowering{g: g, store: store, precision: precision, values: map[*graph.Node]*Value{}, converts: map[convertKey]*Value{}}
	roots := append([]*graph.Node(nil), outputs...)
	for _, a := range g.Assignments {
		roots = append(roots, a.Value)
	}
	live := reachable(g, roots)
	if err := store.adopt(g, live); err != nil {
		return nil, err
	}
	for _, n := range g.Nodes {
		if live[n.ID] {
			lo.node(n)
		}
	}
	for _, n := range outputs {
		lo.valueOf(n).Keep = true
	}
	for _, a := range g.Assignments {
		to, err := store.value(a.Variable)
		if err != nil {
			return nil, err
		}
		lo.steps = append(lo.steps, &Assign{From: lo.as(lo.valueOf(a.Value), to.Layout, tensor.Float32), To: to})
	}
	return lo, nil
}

// reachable marks, by ID, the nodes that roots depend on.
func reachable(g *graph.Graph, roots []*graph.Node) []bool {
	live := make([]bool, len(g.Nodes))
	for _, n := range roots {
		live[n.ID] = true
	}
	for id := len(g.Nodes) - 1; id >= 0; id-- {
		if live[id] {
			for _, in := range g.Nodes[id].Inputs {
				live[in.ID] = true
			}
		}
	}
	return live
}

func (lo *lowering) newValue(s tensor.Shape, l Layout) *Value {
	lo.count++
	return &Value{ID: lo.count, Shape: s, Layout: l, DType: lo.precision.dtype(l)}
}

// as returns v in layout l and type t. If v has another layout or type, as adds a step
// that copies it.
func (lo *lowering) as(v *Value, l Layout, t tensor.DType) *Value {
	if v.Layout == l && v.DType == t {
		return v
	}
	k := convertKey{v, l, t}
	if c := lo.converts[k]; c != nil {
		return c
	}
	c := lo.newValue(v.Shape, l)
	c.DType = t
	lo.steps = append(lo.steps, &Relayout{From: v, To: c})
	lo.converts[k] = c
	return c
}

// valueOf returns the value of n. It computes one that no step needed so far.
func (lo *lowering) valueOf(n *graph.Node) *Value {
	if lo.values[n] == nil {
		lo.compute(n)
	}
	return lo.values[n]
}

func (lo *lowering) in(n *graph.Node, i int) *Value { return lo.valueOf(n.Inputs[i]) }

// act returns input i as an activation in floating point.
func (lo *lowering) act(n *graph.Node, i int) *Value {
	v := lo.in(n, i)
	l := defaultLayout(v.Shape)
	return lo.as(v, l, lo.precision.dtype(l))
}

func (lo *lowering) node(n *graph.Node) {
	switch op := n.Op.(type) {
	case *graph.Leaf:
		lo.values[n], _ = lo.store.value(op.Variable)
	case *graph.Input:
		v := lo.newValue(n.Shape, defaultLayout(n.Shape))
		if op.DType == tensor.Int64 { // labels and indices, which bfloat16 would round
			v.DType = tensor.Float32
		}
		v.Place = Fed
		lo.values[n] = v
	case graph.Detach:
		lo.values[n] = lo.in(n, 0)
	case graph.Conv2d, graph.Linear, graph.Conv2dGradInput, graph.LinearGradInput,
		graph.Conv2dGradWeight, graph.LinearGradWeight:
		lo.convolution(n)
	case graph.FakeQuantize:
		lo.fakeQuantize(n, op)
	case graph.BatchNormStats, graph.BatchNorm, graph.BatchNormReduce, graph.BatchNormGrad:
		lo.batchNorm(n)
	default:
		lo.compute(n)
	}
}

var pointwise = graph.Conv2d{StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1}

func (lo *lowering) convolution(n *graph.Node) {
	window := func(c graph.Conv2d, w tensor.Shape) Window { return Window{c, w[2], w[3]} }
	linear := Window{pointwise, 1, 1}
	// The factors of a linear layer have no pixels, but take the type of those that have.
	factor := func(i int) *Value {
		v := lo.act(n, i)
		return lo.as(v, v.Layout, lo.precision.operand())
	}
	forward := func(win Window, wl Layout) {
		if lo.integers(n, win, wl) {
			return
		}
		s := &Conv{Window: win, X: factor(0), W: lo.as(lo.in(n, 1), wl, tensor.Float32), Y: lo.newValue(n.Shape, defaultLayout(n.Shape))}
		if len(n.Inputs) == 3 {
			s.Bias = lo.in(n, 2)
		}
		lo.add(n, s, s.Y)
	}
	input := func(win Window, wl Layout) {
		s := &ConvGradInput{Window: win, W: lo.as(lo.in(n, 0), wl, tensor.Float32), DY: factor(1), DX: lo.newValue(n.Shape, defaultLayout(n.Shape))}
		lo.add(n, s, s.DX)
	}
	weight := func(win Window, wl Layout) {
		s := &ConvGradWeight{Window: win, X: factor(0), DY: factor(1), DW: lo.newValue(n.Shape, wl)}
		lo.add(n, s, s.DW)
	}
	switch op := n.Op.(type) {
	case graph.Conv2d:
		forward(window(op, n.Inputs[1].Shape), ConvWeight)
	case graph.Linear:
		forward(linear, LinearWeight)
	case graph.Conv2dGradInput:
		input(window(op.Conv2d, n.Inputs[0].Shape), ConvWeight)
	case graph.LinearGradInput:
		input(linear, LinearWeight)
	case graph.Conv2dGradWeight:
		weight(window(op.Conv2d, n.Shape), ConvWeight)
	case graph.LinearGradWeight:
		weight(linear, LinearWeight)
	}
}

func (lo *lowering) batchNorm(n *graph.Node) {
	switch op := n.Op.(type) {
	case graph.BatchNormStats:
		s := &BatchNormStats{X: lo.act(n, 0), Stats: lo.newValue(n.Shape, RowMajor)}
		lo.add(n, s, s.Stats)
	case graph.BatchNorm:
		x := lo.act(n, 0)
		s := &BatchNorm{
			Norm: Norm{Stats: lo.in(n, 1), Gamma: lo.in(n, 2), Beta: lo.in(n, 3), Eps: op.Eps},
			X:    x, Y: lo.newValue(n.Shape, x.Layout),
		}
		lo.add(n, s, s.Y)
	case graph.BatchNormReduce:
		s := &BatchNormReduce{X: lo.act(n, 0), Stats: lo.in(n, 1), DY: lo.act(n, 2), Out: lo.newValue(n.Shape, RowMajor), Eps: op.Eps}
		lo.add(n, s, s.Out)
	case graph.BatchNormGrad:
		x := lo.act(n, 0)
		s := &BatchNormGrad{
			X: x, Stats: lo.in(n, 1), Gamma: lo.in(n, 2), Reduced: lo.in(n, 3), DY: lo.act(n, 4),
			DX: lo.newValue(n.Shape, x.Layout), Eps: op.Eps, Frozen: op.Frozen,
		}
		lo.add(n, s, s.DX)
	}
}

// compute lowers any other op. An elementwise op takes the layout of its first input, a
// matrix product and an operation of a user's own are row-major, and all others have the
// layout of activations.
func (lo *lowering) compute(n *graph.Node) {
	s := &Compute{Op: n.Op}
	layout := defaultLayout(n.Shape)
	_, own := n.Op.(graph.Computer)
	_, matrices := n.Op.(graph.MatMul) // its last dimensions are not pixels
	rowMajor := own || matrices
	if rowMajor {
		layout = RowMajor
	}
	for i := range n.Inputs {
		v := lo.in(n, i)
		if lo.staysBytes(n.Op, v, i, layout) {
			if elementwise(n.Op) {
				layout = v.Layout
			}
		} else if rowMajor {
			v = lo.as(v, RowMajor, tensor.Float32)
		} else if elementwise(n.Op) {
			if i == 0 {
				layout = v.Layout
			}
			v = lo.as(v, layout, lo.floating(v, layout))
		} else if l := defaultLayout(v.Shape); i == indexOf(n.Op) {
			v = lo.as(v, l, v.DType)
		} else {
			v = lo.act(n, i)
		}
		s.In = append(s.In, v)
	}
	s.Out = lo.newValue(n.Shape, layout)
	lo.retype(s)
	lo.add(n, s, s.Out)
}

// indexOf returns which input of op holds indices, or -1.
func indexOf(op graph.Op) int {
	switch op.(type) {
	case graph.GatherElements:
		return 1
	case graph.GatherElementsGrad:
		return 0
	}
	return -1
}

func (lo *lowering) add(n *graph.Node, s Step, out *Value) {
	lo.steps = append(lo.steps, s)
	lo.values[n] = out
}

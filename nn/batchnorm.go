package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Norm configures a batch normalisation. The zero value is PyTorch's default.
type Norm struct {
	Eps      float64 // added to the variance; zero: 1e-5
	Momentum float64 // weight of a batch in the running statistics; zero: 0.1
	NoAffine bool    // no weight and bias, as if they were 1 and 0
	ZeroInit bool    // the weight starts at 0 instead of 1 in every scheme, for the end of a residual branch (Goyal et al. 2017, section 5.1)
}

// BatchNorm is the common part of BatchNorm1d and BatchNorm2d. It normalises every channel to
// mean 0 and variance 1, then multiplies by the weight and adds the bias (Ioffe and Szegedy
// 2015, algorithm 1). In training it uses the statistics of the batch, with the biased
// variance, and moves the running statistics by Momentum towards those of the batch, with the
// unbiased variance. In evaluation, and if the running mean was passed to graph.Freeze, it
// uses the running statistics and does not change them.
type BatchNorm struct {
	Weight        *Parameter // [C], or nil
	Bias          *Parameter // [C], or nil
	RunningMean   *Parameter // [C], buffer
	RunningVar    *Parameter // [C], buffer
	Eps, Momentum float64
	ZeroInit      bool // see Norm
}

// BatchNorm1d normalises [N,C] or [N,C,L] as PyTorch does.
// https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
type BatchNorm1d struct{ BatchNorm }

// BatchNorm2d normalises [N,C,H,W] as PyTorch does.
// https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html
type BatchNorm2d struct{ BatchNorm }

// NewBatchNorm1d returns a batch normalisation of dense or sequence features.
func NewBatchNorm1d(channels int, c ...Norm) *BatchNorm1d {
	return &BatchNorm1d{newBatchNorm("NewBatchNorm1d", channels, one("NewBatchNorm1d", c))}
}

// NewBatchNorm2d returns a batch normalisation of images.
func NewBatchNorm2d(channels int, c ...Norm) *BatchNorm2d {
	return &BatchNorm2d{newBatchNorm("NewBatchNorm2d", channels, one("NewBatchNorm2d", c))}
}

func newBatchNorm(class string, channels int, c Norm) BatchNorm {
	if channels < 1 || c.Eps < 0 || c.Momentum < 0 || c.Momentum > 1 {
		panic(tensor.Misusef("nn.%s(%d, %+v): channels must be at least 1, Eps at least 0, Momentum in [0, 1]", class, channels, c))
	}
	b := BatchNorm{
		RunningMean: &Parameter{Value: tensor.New(channels)},
		RunningVar:  &Parameter{Value: tensor.New(channels).Fill(1)},
		Eps:         c.Eps, Momentum: c.Momentum, ZeroInit: c.ZeroInit,
	}
	if b.Eps == 0 {
		b.Eps = 1e-5
	}
	if b.Momentum == 0 {
		b.Momentum = 0.1
	}
	if !c.NoAffine {
		b.Weight, b.Bias = parameter(channels), parameter(channels)
		b.Weight.Value.Fill(b.start())
	}
	return b
}

func (l *BatchNorm1d) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	if len(x.Shape) != 2 && len(x.Shape) != 3 {
		misfit(l, l.RunningMean, x, "needs [N, %d] or [N, %[1]d, L]", l.channels())
	}
	return x.Graph.Record(l, first, l.apply(l, x))
}

func (l *BatchNorm2d) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	if len(x.Shape) != 4 {
		misfit(l, l.RunningMean, x, "needs [N, %d, H, W]", l.channels())
	}
	return x.Graph.Record(l, first, l.apply(l, x))
}

func (b *BatchNorm) apply(l fmt.Stringer, x *graph.Node) *graph.Node {
	g, c := x.Graph, b.channels()
	if x.Shape[1] != c {
		misfit(l, b.RunningMean, x, "has %d channels, needs %d", x.Shape[1], c)
	}
	gamma, beta := affine(g, b.Weight, 1, c), affine(g, b.Bias, 0, c)
	if g.Mode == graph.Eval || g.Frozen(b.RunningMean) {
		stats := g.Apply(graph.Stack{}, g.Variable(b.RunningMean), g.Variable(b.RunningVar))
		return g.Apply(graph.BatchNorm{Eps: b.Eps, Frozen: true}, x, stats, gamma, beta)
	}
	count := x.Shape.Numel() / c
	if count < 2 {
		misfit(l, b.RunningMean, x, "training needs more than one value per channel; use a larger batch")
	}
	stats := g.Apply(graph.BatchNormStats{}, x)
	for row, v := range []*Parameter{b.RunningMean, b.RunningVar} {
		op := graph.RunningStats{Momentum: b.Momentum, Row: row, Count: count}
		g.Assign(v, g.Apply(op, latest(g, v), stats))
	}
	return g.Apply(graph.BatchNorm{Eps: b.Eps}, x, stats, gamma, beta)
}

func affine(g *graph.Graph, p *Parameter, otherwise float64, shape ...int) *graph.Node {
	if p == nil {
		return g.Constant(otherwise, shape...)
	}
	return g.Variable(p)
}

// latest returns the value of v after the assignments so far, so that a layer used twice in
// one graph updates its statistics twice.
func latest(g *graph.Graph, v *Parameter) *graph.Node {
	for i := len(g.Assignments) - 1; i >= 0; i-- {
		if a := g.Assignments[i]; a.Variable == v {
			return a.Value
		}
	}
	return g.Variable(v)
}

// start returns the initial value of the weight.
func (b *BatchNorm) start() float32 {
	if b.ZeroInit {
		return 0
	}
	return 1
}

// Zero sets the weight and the bias to 0, so that the layer returns 0. A later Init sets them
// according to ZeroInit. Zero panics if the layer has no weight and bias.
func (b *BatchNorm) Zero() {
	if b.Weight == nil {
		panic(tensor.Misusef("nn: a batch norm without weight and bias cannot be zeroed"))
	}
	b.Weight.Value.Fill(0)
	b.Bias.Value.Fill(0)
}

// Init implements Initialiser. With every scheme the weight becomes 1, or 0 with ZeroInit, the
// bias 0, the running mean 0 and the running variance 1.
func (b *BatchNorm) Init(Scheme, func(name string) *Source) {
	if b.Weight != nil {
		b.Weight.Value.Fill(b.start())
		b.Bias.Value.Fill(0)
	}
	b.RunningMean.Value.Fill(0)
	b.RunningVar.Value.Fill(1)
}

func (b *BatchNorm) channels() int { return b.RunningMean.Value.Numel() }

func (l *BatchNorm1d) String() string { return "BatchNorm1d" + l.arguments() }
func (l *BatchNorm2d) String() string { return "BatchNorm2d" + l.arguments() }

func (b *BatchNorm) arguments() string {
	text := fmt.Sprintf("(%d, eps=%g, momentum=%g", b.channels(), b.Eps, b.Momentum)
	if b.Weight == nil {
		text += ", affine=False"
	}
	return text + ")"
}

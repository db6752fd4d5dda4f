package graph

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// trial is one random instance of an op: a graph, its leaves and their values.
type trial struct {
	*rand.Rand
	g     *Graph
	free  []*Node // leaves to differentiate by
	feeds map[*Node][]float64
}

func newTrial(seed uint64) *trial {
	return &trial{rand.New(rand.NewPCG(seed, 7)), New(Train), nil, map[*Node][]float64{}}
}

// between returns a random integer, both ends included.
func (t *trial) between(lo, hi int) int { return lo + t.IntN(hi-lo+1) }

// normal adds a leaf with normally distributed values, by which is differentiated.
func (t *trial) normal(shape ...int) *Node {
	return t.leaf(shape, func(int) float64 { return t.NormFloat64() })
}

// leaf adds a leaf by which is differentiated.
func (t *trial) leaf(shape []int, value func(i int) float64) *Node {
	n := t.fixed(shape, value)
	t.free = append(t.free, n)
	return n
}

// distinct adds a leaf whose values differ clearly from each other and from zero.
func (t *trial) distinct(shape ...int) *Node {
	order := t.Perm(tensor.Shape(shape).Numel())
	return t.leaf(shape, func(i int) float64 { return float64(order[i]-len(order)/2)*0.05 + 0.02 })
}

// fixed adds an input by which is not differentiated.
func (t *trial) fixed(shape []int, value func(i int) float64) *Node {
	n := t.g.Input(fmt.Sprint("in", len(t.feeds)), tensor.Float32, shape...)
	v := make([]float64, n.Shape.Numel())
	for i := range v {
		v[i] = value(i)
	}
	t.feeds[n] = v
	return n
}

func (t *trial) labels(n, k int) *Node {
	return t.fixed([]int{n}, func(int) float64 { return float64(t.IntN(k)) })
}

// image returns a random shape of a small image batch.
func (t *trial) image() []int {
	return []int{t.between(1, 3), t.between(1, 4), t.between(1, 8), t.between(1, 8)}
}

// worst compares the gradients of a random functional of y with central
// differences and returns the largest error relative to 1 + the derivative.
func (t *trial) worst(y *Node) (err float64, where string) {
	weights := t.fixed(y.Shape, func(int) float64 { return t.NormFloat64() })
	loss := t.g.Apply(Sum{}, t.g.Apply(Mul{}, y, weights))
	grads := Reference(Gradients(loss, t.free), t.feeds)
	at := func() float64 { return Reference([]*Node{loss}, t.feeds)[0][0] }
	const step = 1e-5
	for i, leaf := range t.free {
		values := t.feeds[leaf]
		for j := range values {
			if len(values) > 60 && t.IntN(len(values)) >= 60 {
				continue
			}
			old := values[j]
			values[j] = old + step
			above := at()
			values[j] = old - step
			below := at()
			values[j] = old
			want := (above - below) / (2 * step)
			e := math.Abs(grads[i][j]-want) / (1 + math.Abs(want))
			if e > err || e != e {
				err, where = e, fmt.Sprintf("%v[%d] of %v: gradient %v, difference %v", leaf, j, y, grads[i][j], want)
			}
			if e != e {
				return e, where
			}
		}
	}
	return err, where
}

// trials builds one random instance of every op that has a gradient.
var trials = map[string]func(t *trial) *Node{
	"Conv2d":          func(t *trial) *Node { return t.conv(1, false) },
	"Conv2d bias":     func(t *trial) *Node { return t.conv(1, true) },
	"Conv2d grouped":  func(t *trial) *Node { return t.conv(t.between(2, 3), true) },
	"Conv2d 1x1":      func(t *trial) *Node { return t.conv1x1() },
	"Linear":          func(t *trial) *Node { return t.linear(false) },
	"Linear bias":     func(t *trial) *Node { return t.linear(true) },
	"BatchNorm":       func(t *trial) *Node { return t.batchNorm(t.normalisable()) },
	"BatchNorm 2-d":   func(t *trial) *Node { return t.batchNorm([]int{t.between(2, 9), t.between(1, 5)}) },
	"BatchNorm eval":  func(t *trial) *Node { return t.frozenBatchNorm(t.normalisable()) },
	"BatchNorm fixed": func(t *trial) *Node { return t.batchNormOfConstantStats() },
	"ReLU":            func(t *trial) *Node { return t.g.Apply(ReLU{}, t.distinct(t.image()...)) },
	"Sigmoid":         func(t *trial) *Node { return t.g.Apply(Sigmoid{}, t.normal(t.image()...)) },
	"Tanh":            func(t *trial) *Node { return t.g.Apply(Tanh{}, t.normal(t.image()...)) },
	"Add":             func(t *trial) *Node { s := t.image(); return t.normal(s...).Add(t.normal(s...)) },
	"Mul":             func(t *trial) *Node { s := t.image(); return t.g.Apply(Mul{}, t.normal(s...), t.normal(s...)) },
	"Mul square":      func(t *trial) *Node { x := t.normal(t.image()...); return t.g.Apply(Mul{}, x, x) },
	"Scale":           func(t *trial) *Node { return t.g.Apply(Scale{t.NormFloat64()}, t.normal(t.image()...)) },
	"Sum":             func(t *trial) *Node { return t.g.Apply(Sum{}, t.normal(t.image()...)) },
	"Expand":          func(t *trial) *Node { return t.g.Apply(Expand{t.image()}, t.normal()) },
	"MaxPool2d":       func(t *trial) *Node { return t.maxPool() },
	"AvgPool2d":       func(t *trial) *Node { return t.avgPool() },
	"AdaptiveAvgPool2d": func(t *trial) *Node {
		return t.g.Apply(AdaptiveAvgPool2d{t.between(1, 9), t.between(1, 9)}, t.normal(t.image()...))
	},
	"Reshape": func(t *trial) *Node {
		s := t.image()
		return t.g.Apply(Reshape{tensor.Shape{s[0], s[1] * s[2] * s[3]}}, t.normal(s...))
	},
	"Dropout": func(t *trial) *Node {
		key := t.fixed(nil, func(int) float64 { return float64(t.IntN(100)) })
		return t.g.Apply(Dropout{P: t.Float64(), Stream: t.g.NextStream()}, t.normal(t.image()...), key)
	},
	"StochasticDepth": func(t *trial) *Node {
		key := t.fixed(nil, func(int) float64 { return float64(t.IntN(100)) })
		return t.g.Apply(StochasticDepth{P: t.Float64(), Stream: t.g.NextStream()}, t.normal(t.image()...), key)
	},
	"PadChannels": func(t *trial) *Node {
		s := t.image()
		return t.g.Apply(PadChannels{s[1] + t.between(0, 3)}, t.normal(s[:t.between(2, 4)]...))
	},
	"TakeChannels": func(t *trial) *Node {
		s := t.image()
		return t.g.Apply(TakeChannels{t.between(1, s[1])}, t.normal(s[:t.between(2, 4)]...))
	},
	"CrossEntropy": func(t *trial) *Node {
		n, k := t.between(1, 6), t.between(1, 6)
		logits, labels := t.normal(n, k), t.labels(n, k)
		o := CrossEntropy{LabelSmoothing: []float64{0, 0.3, 1}[t.IntN(3)]}
		if t.IntN(2) == 0 {
			labels = t.fixed([]int{n, k}, func(int) float64 { return t.Float64() })
		}
		if t.IntN(2) == 0 {
			return t.g.Apply(o, logits, labels, t.fixed([]int{k}, func(int) float64 { return 0.1 + t.Float64() }))
		}
		return t.g.Apply(o, logits, labels)
	},
	"Broadcast": func(t *trial) *Node { return t.broadcastPair((*Node).Add) },
	"Sub":       func(t *trial) *Node { return t.broadcastPair((*Node).Sub) },
	"Times":     func(t *trial) *Node { return t.broadcastPair((*Node).Mul) },
	"Div": func(t *trial) *Node {
		s := t.image()
		return t.normal(s...).Div(t.leaf(s[2:], func(int) float64 { return 1 + t.Float64() }))
	},
	"Pow": func(t *trial) *Node {
		positive := func(int) float64 { return 0.5 + t.Float64() }
		s := t.image()
		return Pow.Of(t.leaf(s, positive), t.leaf(s, positive))
	},
	"Max of two": func(t *trial) *Node { s := t.image(); x := t.distinct(s...); return x.Maximum(t.g.Apply(Scale{-1}, x)) },
	"Min of two": func(t *trial) *Node { s := t.image(); x := t.distinct(s...); return x.Minimum(t.g.Apply(Scale{2}, x)) },
	"Where": func(t *trial) *Node {
		s := t.image()
		return t.fixed(s, func(int) float64 { return float64(t.IntN(2)) }).Where(t.normal(s...), t.normal(s[1:]...))
	},
	"Transpose": func(t *trial) *Node { return t.normal(t.image()...).Transpose(t.Perm(4)...) },
	"Take": func(t *trial) *Node {
		s := t.image()
		index := make([][]int, 4)
		for d := range index {
			if t.IntN(3) > 0 {
				for range t.between(1, 5) {
					index[d] = append(index[d], t.between(-1, s[d]-1))
				}
			}
		}
		return t.g.Apply(Take{Index: index, Fill: 2}, t.normal(s...))
	},
	"Take twice": func(t *trial) *Node {
		x := t.normal(t.image()...).Pad(2, 1, 2, 0.5).Pad(3, t.between(0, 1), 1, 0.5)
		return x.Gather(2, x.Shape[2]-1, 0, 1).Pad(2, 1, 0, -1)
	},
	"Pad":    func(t *trial) *Node { return t.normal(t.image()...).Pad(2, t.between(0, 2), t.between(0, 2), 1) },
	"Slice":  func(t *trial) *Node { s := t.image(); return t.normal(s...).Slice(3, t.between(0, s[3]-1), s[3]) },
	"Gather": func(t *trial) *Node { return t.normal(t.between(1, 3), 4).Gather(-1, 3, 0, 3) },
	"Concat": func(t *trial) *Node {
		s, d := t.image(), t.IntN(4)
		other := tensor.Shape(s).Clone()
		other[d] = t.between(1, 3)
		return Join(d, t.normal(s...), t.normal(other...), t.normal(s...))
	},
	"Reduce sum":  func(t *trial) *Node { return t.normal(t.image()...).Sum(t.between(0, 3)) },
	"Reduce mean": func(t *trial) *Node { return t.normal(t.image()...).Mean(0, t.between(1, 3)) },
	"Reduce max":  func(t *trial) *Node { return t.distinct(t.image()...).Max(1, 2) },
	"Reduce min":  func(t *trial) *Node { return t.distinct(t.image()...).Min(t.between(0, 3)) },
	"Reduce prod": func(t *trial) *Node { return Product.Of(t.normal(2, 3, 2), 1) },
	"LogSoftmax":  func(t *trial) *Node { return t.normal(t.image()...).LogSoftmax(t.between(0, 3)) },
	"MatMul": func(t *trial) *Node {
		m, k, n := t.between(1, 4), t.between(1, 4), t.between(1, 4)
		return t.normal(2, 1, m, k).MatMul(t.normal(3, k, n))
	},
	"MatMul vectors": func(t *trial) *Node {
		k := t.between(1, 4)
		if t.IntN(2) == 0 {
			return t.normal(k).MatMul(t.normal(2, k, 3))
		}
		return t.normal(3, 1, 2, k).MatMul(t.normal(k))
	},
	"LayerNorm": func(t *trial) *Node {
		s, dims := t.image(), t.between(1, 3)
		s[3] += 2 // several elements that differ
		w := s[4-dims:]
		return t.normal(s...).LayerNorm(t.normal(w...), t.normal(w...), 0.1)
	},
	"GroupNorm": func(t *trial) *Node {
		s, groups := t.image(), t.between(1, 3)
		s[1], s[3] = groups*t.between(1, 2), s[3]+2
		return t.normal(s...).GroupNorm(groups, t.normal(s[1]), t.normal(s[1]), 0.1)
	},
	"Upsample nearest": func(t *trial) *Node { return t.normal(t.image()...).UpsampleNearest(t.between(1, 9), t.between(1, 9)) },
	"Upsample bilinear": func(t *trial) *Node {
		return t.normal(t.image()...).UpsampleBilinear(t.between(1, 9), t.between(1, 9), t.IntN(2) == 0)
	},
	"GatherElements": func(t *trial) *Node {
		s, axis := t.image(), t.between(0, 3)
		of := tensor.Shape(s).Clone()
		of[axis] = t.between(1, 4)
		return t.normal(s...).GatherElements(axis, t.fixed(of, func(int) float64 { return float64(t.between(0, s[axis]-1)) }))
	},
	"Softmax of any axis": func(t *trial) *Node { return t.normal(t.image()...).Softmax(t.between(-4, 3)) },
	"Softmax":             func(t *trial) *Node { return t.g.Apply(Softmax{}, t.normal(t.between(1, 6), t.between(1, 6))) },
	"Row": func(t *trial) *Node {
		return t.g.Apply(Row{t.IntN(2)}, t.normal(2, t.between(1, 5)))
	},
	"Stack": func(t *trial) *Node {
		c := t.between(1, 5)
		return t.g.Apply(Stack{}, t.normal(c), t.normal(c))
	},
}

func init() {
	for f := range functions {
		trials["Unary "+rules[f].name] = func(t *trial) *Node {
			a, b, low, high := 0.4, 0.3, -3.4, 3.4
			switch f {
			case Log, Sqrt, Reciprocal, Power:
				low = 0.2
			case Asin, Acos, Atanh:
				low, high = -0.9, 0.9
			case Acosh:
				low = 1.2
			case Tan:
				low, high = -1.2, 1.2
			case Clamp, Threshold, Shrink:
				a, b = 0.41, 1.3
			}
			kinks := []float64{0, -3, 3, 0.41, 1.3, -0.41, -0.75, 1.75, 0.5, -0.5, 1, 2, -1, -2, 1.5, 2.5, -1.5, -2.5}
			return f.Of(t.leaf(t.image(), func(int) float64 {
				for {
					x := low + (high-low)*t.Float64()
					near := func(kink float64) bool { return math.Abs(x-kink) < 1e-3 }
					if !slices.ContainsFunc(kinks, near) {
						return x
					}
				}
			}), a, b)
		}
	}
}

// broadcastPair applies f to two nodes of which each is repeated along some dimensions.
func (t *trial) broadcastPair(f func(a, b *Node) *Node) *Node {
	a := t.image()
	b := tensor.Shape(a).Clone()
	a[t.IntN(4)], b[t.IntN(4)] = 1, 1
	return f(t.normal(a...), t.normal(b[t.IntN(2):]...))
}

func (t *trial) conv(groups int, bias bool) *Node {
	for {
		kh, kw := t.between(1, 4), t.between(1, 4)
		o := Conv2d{
			StrideH: t.between(1, 3), StrideW: t.between(1, 3), PadH: t.between(0, 3), PadW: t.between(0, 3),
			DilationH: t.between(1, 3), DilationW: t.between(1, 3), Groups: groups,
		}
		s := []int{t.between(1, 2), groups * t.between(1, 2), t.between(1, 7), t.between(1, 7)}
		if oh, ow := o.Out(s[2], s[3], kh, kw); oh < 1 || ow < 1 {
			continue
		}
		outs := groups * t.between(1, 2)
		in := []*Node{t.normal(s...), t.normal(outs, s[1]/groups, kh, kw)}
		if bias {
			in = append(in, t.normal(outs))
		}
		return t.g.Apply(o, in...)
	}
}

func (t *trial) conv1x1() *Node {
	s, stride := t.image(), t.between(1, 2)
	o := Conv2d{StrideH: stride, StrideW: stride, DilationH: 1, DilationW: 1, Groups: 1}
	return t.g.Apply(o, t.normal(s...), t.normal(t.between(1, 4), s[1], 1, 1))
}

func (t *trial) linear(bias bool) *Node {
	n, ins, outs := t.between(1, 5), t.between(1, 5), t.between(1, 5)
	in := []*Node{t.normal(n, ins), t.normal(outs, ins)}
	if bias {
		in = append(in, t.normal(outs))
	}
	return t.g.Apply(Linear{}, in...)
}

// normalisable returns a random shape [N, C, L] or [N, C, H, W] with several values per channel.
func (t *trial) normalisable() []int {
	s := []int{t.between(1, 3), t.between(1, 3), t.between(3, 7), t.between(1, 5)}
	return s[:t.between(3, 4)]
}

func (t *trial) batchNorm(shape []int) *Node {
	x, gamma, beta := t.normal(shape...), t.normal(shape[1]), t.normal(shape[1])
	stats := t.g.Apply(BatchNormStats{}, x)
	return t.g.Apply(BatchNorm{Eps: 0.1 * t.Float64()}, x, stats, gamma, beta)
}

func (t *trial) frozenBatchNorm(shape []int) *Node {
	x, gamma, beta := t.normal(shape...), t.normal(shape[1]), t.normal(shape[1])
	positive := func(int) float64 { return 0.5 + t.Float64() }
	mean, variance := t.fixed(shape[1:2], positive), t.fixed(shape[1:2], positive)
	return t.g.Apply(BatchNorm{Eps: 1e-5, Frozen: true}, x, t.g.Apply(Stack{}, mean, variance), gamma, beta)
}

// batchNormOfConstantStats differentiates only by gamma and beta, for which the path through
// the statistics is irrelevant.
func (t *trial) batchNormOfConstantStats() *Node {
	y := t.batchNorm(t.normalisable())
	t.free = t.free[1:]
	return y
}

func (t *trial) maxPool() *Node {
	for {
		o := MaxPool2d{
			KH: t.between(1, 4), KW: t.between(1, 4), StrideH: t.between(1, 3), StrideW: t.between(1, 3),
			DilationH: t.between(1, 2), DilationW: t.between(1, 2), CeilMode: t.IntN(2) == 0,
		}
		o.PadH, o.PadW = t.between(0, o.KH/2), t.between(0, o.KW/2)
		s := t.image()
		oh, ow := o.Out(s[2], s[3])
		if oh < 1 || ow < 1 || missesImage(s[2], oh, o.KH, o.StrideH, o.PadH, o.DilationH) ||
			missesImage(s[3], ow, o.KW, o.StrideW, o.PadW, o.DilationW) {
			continue
		}
		return t.g.Apply(o, t.distinct(s...))
	}
}

func (t *trial) avgPool() *Node {
	for {
		o := AvgPool2d{
			KH: t.between(1, 4), KW: t.between(1, 4), StrideH: t.between(1, 3), StrideW: t.between(1, 3),
			CeilMode: t.IntN(2) == 0, ExcludePad: t.IntN(2) == 0, Divisor: t.IntN(2) * t.between(1, 7),
		}
		o.PadH, o.PadW = t.between(0, o.KH/2), t.between(0, o.KW/2)
		s := t.image()
		if oh, ow := o.Out(s[2], s[3]); oh < 1 || ow < 1 {
			continue
		}
		return t.g.Apply(o, t.normal(s...))
	}
}

func TestGradientsAgainstDifferences(t *testing.T) {
	const shapes, most = 24, 1e-6
	for name, build := range trials {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			for seed := range uint64(shapes) {
				tr := newTrial(seed)
				if err, where := tr.worst(build(tr)); !(err <= most) {
					t.Errorf("seed %d: relative error %.2g at %s", seed, err, where)
				}
			}
		})
	}
}

// wrongScale is Scale with the gradient of the identity.
type wrongScale struct{ Scale }

func (wrongScale) Gradient(n, dy *Node) []*Node { return []*Node{dy} }

func TestDifferencesFindAWrongGradient(t *testing.T) {
	tr := newTrial(1)
	if err, _ := tr.worst(tr.g.Apply(wrongScale{Scale{1.001}}, tr.normal(3))); err < 1e-5 {
		t.Errorf("a gradient wrong by a thousandth passed with error %g", err)
	}
}

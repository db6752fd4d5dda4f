package graph

import (
	"math"

	"github.com/residual-ml/residual/tensor"
)

// Batch normalisation after Ioffe & Szegedy, "Batch Normalization: Accelerating
// Deep Network Training by Reducing Internal Covariate Shift", 2015, algorithm 1,
// over x of shape [N, C], [N, C, L] or [N, C, H, W]. M is the number of values of
// one channel, N·H·W.
// https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html

// BatchNormStats gathers the statistics of every channel (the first two lines of
// algorithm 1), in two passes:
//
//	mean[c] = 1/M Σ x[n,c,...]     var[c] = 1/M Σ (x[n,c,...] - mean[c])²
//
// Input x; output [2, C]: row 0 the mean, row 1 the biased variance.
//
// It has no gradient of its own: the gradient of BatchNorm for x already includes the path
// through the statistics.
type BatchNormStats struct{}

func (BatchNormStats) Name() string { return "BatchNormStats" }

func (o BatchNormStats) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	wantNormalisable(o, in)
	return tensor.Shape{2, in[0][1]}
}

func (o BatchNormStats) Gradient(n, dy *Node) []*Node {
	panic(tensor.Misusef("BatchNormStats: has a gradient only as part of BatchNorm"))
}

func (BatchNormStats) Reference(n *Node, out []float64, in [][]float64) {
	x, s := in[0], n.Inputs[0].Shape
	channel, c, m := channels(s), s[1], float64(perChannel(s))
	mean, variance := out[:c], out[c:]
	for i, v := range x {
		mean[channel(i)] += v / m
	}
	for i, v := range x {
		d := v - mean[channel(i)]
		variance[channel(i)] += d * d / m
	}
}

// BatchNorm normalises every channel by given statistics, then scales and shifts
// (the last two lines of algorithm 1):
//
//	xhat[n,c,...] = (x[n,c,...] - mean[c]) / √(var[c] + Eps)     y = gamma[c]·xhat + beta[c]
//
// Inputs x, stats [2, C] (mean, biased variance), gamma [C], beta [C]; the output
// has the shape of x.
//
// If Frozen is false, stats must be BatchNormStats of the same x, and the gradient for x
// includes the path through them. If it is true, stats are constants, like the running
// statistics in evaluation. The gradient for stats is nil in both cases.
type BatchNorm struct {
	Eps    float64
	Frozen bool
}

func (BatchNorm) Name() string { return "BatchNorm" }

func (o BatchNorm) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 4, 4)
	wantNormalisable(o, in)
	c := in[0][1]
	wantShape(o, in, 1, "stats", 2, c)
	wantShape(o, in, 2, "gamma", c)
	wantShape(o, in, 3, "beta", c)
	return in[0]
}

func (o BatchNorm) Gradient(n, dy *Node) []*Node {
	x, stats, gamma, g := n.Inputs[0], n.Inputs[1], n.Inputs[2], n.Graph
	reduce := g.Apply(BatchNormReduce{o.Eps}, x, stats, dy)
	dx := g.Apply(BatchNormGrad(o), x, stats, gamma, reduce, dy)
	return []*Node{dx, nil, g.Apply(Row{0}, reduce), g.Apply(Row{1}, reduce)}
}

func (o BatchNorm) Reference(n *Node, y []float64, in [][]float64) {
	x, gamma, beta := in[0], in[2], in[3]
	channel := channels(n.Shape)
	mean, std := moments(in[1], o.Eps)
	for i, v := range x {
		c := channel(i)
		y[i] = (v-mean[c])/std[c]*gamma[c] + beta[c]
	}
}

// BatchNormReduce is the gradient of BatchNorm for gamma and beta (the last two
// equations of section 3):
//
//	dgamma[c] = Σ dy[n,c,...] · xhat[n,c,...]     dbeta[c] = Σ dy[n,c,...]
//
// Inputs x, stats [2, C], dy; output [2, C]: row 0 dgamma, row 1 dbeta.
type BatchNormReduce struct{ Eps float64 }

func (BatchNormReduce) Name() string                   { return "BatchNormReduce" }
func (o BatchNormReduce) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o BatchNormReduce) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 3, 3)
	wantNormalisable(o, in)
	c := in[0][1]
	wantShape(o, in, 1, "stats", 2, c)
	wantShape(o, in, 2, "dy", in[0]...)
	return tensor.Shape{2, c}
}

func (o BatchNormReduce) Reference(n *Node, out []float64, in [][]float64) {
	x, dy := in[0], in[2]
	channel := channels(n.Inputs[0].Shape)
	mean, std := moments(in[1], o.Eps)
	dgamma, dbeta := out[:n.Shape[1]], out[n.Shape[1]:]
	for i, d := range dy {
		c := channel(i)
		dgamma[c] += d * (x[i] - mean[c]) / std[c]
		dbeta[c] += d
	}
}

// BatchNormGrad is the gradient of BatchNorm for x (the equations of section 3 combined):
//
//	dx = gamma[c] / √(var[c] + Eps) · (dy - dbeta[c]/M - xhat·dgamma[c]/M)
//
// and when Frozen, dx = gamma[c] / √(var[c] + Eps) · dy.
//
// Inputs x, stats [2, C], gamma [C], reduce [2, C] (of BatchNormReduce), dy; the
// output has the shape of x.
type BatchNormGrad struct {
	Eps    float64
	Frozen bool
}

func (BatchNormGrad) Name() string                   { return "BatchNormGrad" }
func (o BatchNormGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o BatchNormGrad) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 5, 5)
	wantNormalisable(o, in)
	c := in[0][1]
	wantShape(o, in, 1, "stats", 2, c)
	wantShape(o, in, 2, "gamma", c)
	wantShape(o, in, 3, "reduce", 2, c)
	wantShape(o, in, 4, "dy", in[0]...)
	return in[0]
}

func (o BatchNormGrad) Reference(n *Node, dx []float64, in [][]float64) {
	x, gamma, reduce, dy := in[0], in[2], in[3], in[4]
	channel, m := channels(n.Shape), float64(perChannel(n.Shape))
	mean, std := moments(in[1], o.Eps)
	dgamma, dbeta := reduce[:len(gamma)], reduce[len(gamma):]
	for i, d := range dy {
		c := channel(i)
		if !o.Frozen {
			xhat := (x[i] - mean[c]) / std[c]
			d -= dbeta[c]/m + xhat*dgamma[c]/m
		}
		dx[i] = gamma[c] / std[c] * d
	}
}

// moments splits stats [2, C] into means and stds, √(var + eps).
func moments(stats []float64, eps float64) (mean, std []float64) {
	c := len(stats) / 2
	std = make([]float64, c)
	for i, v := range stats[c:] {
		std[i] = math.Sqrt(v + eps)
	}
	return stats[:c], std
}

// perChannel returns how many values of [N, C, ...] share a channel.
func perChannel(s tensor.Shape) int { return s[0] * s[2:].Numel() }

func wantNormalisable(op Op, in []tensor.Shape) {
	if len(in[0]) < 2 || len(in[0]) > 4 {
		badShapes(op, in, "input 0 is not [N, C], [N, C, L] or [N, C, H, W]")
	}
}

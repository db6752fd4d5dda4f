package models

import (
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
)

// Block is a residual block. Its Forward makes the sum of its parts, and behind
// it ReLU in the nets of He et al. 2015.
type Block interface {
	nn.Module
	// Parts adds both sides of the sum to x's graph: what the block's layers make of
	// x, and x itself or what the shortcut makes of it. They have one shape.
	Parts(x *graph.Node) (branch, shortcut *graph.Node)
	// Identity reports whether the shortcut is x itself and the block of the same
	// form as those behind it in its stage, so that it can be left out or another one
	// be put behind it. Leaving it out means handing x on: the sum without the
	// branch. In post-activation nets that is the block's ReLU of the shortcut alone
	// as well, because x comes from a ReLU and is nowhere below 0.
	Identity() bool
	// Last returns the layer that ends the branch, a batch norm or a convolution:
	// while it is zero, the block returns its shortcut.
	Last() nn.Zeroer
}

// Stage is a run of blocks at one size of the image.
type Stage struct {
	Name   string // of its field: the parameters of block i are called Name.i.…
	Blocks []Block
}

// Net is a network of residual blocks.
type Net interface {
	nn.Module
	// Stages lists the blocks in the order of the computation.
	Stages() []Stage
	// Through is Forward with visit in place of every block's Forward, so that a
	// study can leave blocks out (return x) or look at their Parts.
	Through(x *graph.Node, visit func(b Block, x *graph.Node) *graph.Node) *graph.Node
}

// forward is the visit that makes Through a Forward.
func forward(b Block, x *graph.Node) *graph.Node { return b.Forward(x) }

// stage lists the residual blocks of a field.
func stage(name string, s nn.Sequential) Stage {
	st := Stage{Name: name}
	for _, m := range s {
		st.Blocks = append(st.Blocks, m.(Block))
	}
	return st
}

// place says where in its net a block stands.
type place struct {
	in, out, stride int // out is the stage's width: bottlenecks return a multiple of it
	stage, index    int
	zero            bool    // the branch starts at 0
	blank           bool    // see Config
	drop            float64 // the probability that an image does without the branch
}

// stages makes the blocks of every stage. Each but the first halves the image in
// its first block. Block l of L is dropped with probability l/L of the last one's
// (Huang et al. 2016, equation 4).
func stages(c Config, in int, widths []int, expansion int, block func(place) nn.Module) []nn.Sequential {
	all, l := make([]nn.Sequential, len(widths)), 0
	total := sum(c.Blocks)
	for i, n := range c.Blocks {
		for j := range n {
			l++
			p := place{
				in: in, out: widths[i], stride: 1, stage: i, index: j,
				zero: c.ZeroInit, blank: c.Blank, drop: c.StochasticDepth * float64(l) / float64(total),
			}
			if i > 0 && j == 0 {
				p.stride = 2
			}
			all[i] = append(all[i], block(p))
			in = widths[i] * expansion
		}
	}
	return all
}

func sum(values []int) (n int) {
	for _, v := range values {
		n += v
	}
	return n
}

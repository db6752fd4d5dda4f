package models

import (
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
)

// Block is a residual block. Its Forward is the sum of its Parts, followed by ReLU in the
// networks of He et al. 2015.
type Block interface {
	nn.Module
	// Parts adds both terms of the sum to the graph of x: the output of the block's
	// layers, and x or the output of the shortcut's layers. They have the same shape.
	Parts(x *graph.Node) (branch, shortcut *graph.Node)
	// Identity reports whether the shortcut is x itself and the block has the same form
	// as the following blocks of its stage. Then the block can be skipped (ablation), and
	// another can be inserted after it. Skipping it means passing x on. This also holds
	// in post-activation networks, where the block without its branch is ReLU(x): x comes
	// from a ReLU and is never negative.
	Identity() bool
	// Last returns the layer at the end of the branch, a batch norm or a convolution.
	// While it is zero, the block returns its shortcut.
	Last() nn.Zeroer
}

// Stage is a sequence of blocks with the same image size.
type Stage struct {
	Name   string // name of the field: the names of block i's parameters begin with Name.i.
	Blocks []Block
}

// Net is a network of residual blocks.
type Net interface {
	nn.Module
	// Stages lists the blocks in the order of the computation.
	Stages() []Stage
	// Through is Forward with visit called in place of every block's Forward. visit may
	// skip a block by returning x, or look at its Parts.
	Through(x *graph.Node, visit func(b Block, x *graph.Node) *graph.Node) *graph.Node
}

// visiting returns a function that calls visit for a block, and Forward for a module that has
// replaced a block.
func visiting(visit func(b Block, x *graph.Node) *graph.Node) func(b nn.Module, x *graph.Node) *graph.Node {
	return func(m nn.Module, x *graph.Node) *graph.Node {
		if b, ok := m.(Block); ok {
			return visit(b, x)
		}
		return m.Forward(x)
	}
}

// stage returns the residual blocks of a field, without modules of other types that have replaced
// blocks.
func stage(name string, s nn.Sequential) Stage {
	st := Stage{Name: name}
	for _, m := range s {
		if b, ok := m.(Block); ok {
			st.Blocks = append(st.Blocks, b)
		}
	}
	return st
}

// place describes the position of a block in its network.
type place struct {
	in, out, stride int // out is the stage's width; bottlenecks return a multiple of it
	stage, index    int
	zero            bool    // the branch starts at 0
	blank           bool    // see Config
	drop            float64 // probability with which the branch of an image is dropped
}

// stages makes the blocks of every stage. The first block of every stage but the first halves
// the image size. Block l of L is dropped with l/L times the last block's probability (Huang et
// al. 2016, equation 4).
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

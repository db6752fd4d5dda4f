//go:build cuda

package cuda

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
)

// packs is how a kernel goes over elements: width neighbours at a time. Kernels that
// there is one of for each kind are called by its name behind their own.
type packs struct {
	name  string
	width int
}

// packsOf returns the widest packs of values of one type, whose lines of n elements are
// whole numbers of packs; one element at a time where there are none. Values may be nil.
func (b *binder) packsOf(n int, values ...*engine.Value) packs {
	any, p := packs{"", 1}, packs{}
	for _, v := range values {
		if v == nil {
			continue
		}
		of := packs{"_fp32", 4}
		if isBF16(v) {
			of = packs{"_bf16", 8}
		}
		if p.width == 0 {
			p = of
		}
		if p != of || n%of.width != 0 || !aligned(b.at(v)) {
			return any
		}
	}
	return p
}

// aligned reports whether kernels may read 16 bytes at a time from b on.
func aligned(b *buffer) bool { return b.at%16 == 0 }

// enough is the blocks that fill a large GPU a few times; where there is more to do each
// does more.
const enough = 8 * 132

// few is how many packs a thread takes at least, so that loads of several are on their
// way at once.
const few = 4

func blocksOf(threads int) int { return (threads + blockSize - 1) / blockSize }

// shares is a grid for n packs in lanes, which the kernels' Share deals out: it has a
// thread a lane at least.
func shares(n, lanes int) grid {
	if n == 0 {
		return grid{}
	}
	return grid{max(blocksOf(lanes), min(blocksOf((n+few-1)/few), enough)), 1, 1, blockSize}
}

// A block of the pools' has pixelsOfBlock pixels at a time, and of each packsOfBlock packs of
// lanes, or morePacks times as many where that leaves enough blocks.
const (
	packsOfBlock  = 32
	pixelsOfBlock = blockSize / packsOfBlock
	morePacks     = 4
)

// pixels is a grid for n pixels of so many packs of lanes.
func pixels(n, lanes int) grid {
	if n == 0 {
		return grid{}
	}
	x, y := (lanes+packsOfBlock-1)/packsOfBlock, min((n+pixelsOfBlock-1)/pixelsOfBlock, most)
	if x*y >= morePacks*enough {
		x = (x + morePacks - 1) / morePacks
	}
	return grid{x, y, 1, blockSize}
}

// held is the memory that a struct of pointers for a kernel points to.
type held []*buffer

func (h *held) memory() []*buffer { return *h }

// at returns the address of a value, 0 for none, and notes it.
func (h *held) at(b *buffer) driver.Pointer {
	if b == nil {
		return 0
	}
	*h = append(*h, b)
	return b.at
}

// bf16Flag is 1 where v is bfloat16, as kernels take it.
func bf16Flag(v *engine.Value) int32 { return int32(flag(isBF16(v))) }

//go:build cuda

package cuda

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
)

// packs says that a kernel processes width neighbouring elements at a time. name is the
// ending of the kernel's name for that width.
type packs struct {
	name  string
	width int
}

// packsOf returns the widest packs with which a kernel can read and write the values, in
// lines of n elements. They are single elements unless all values have one type, are
// aligned, and n is a multiple of the width. Values may be nil.
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

// aligned reports whether kernels may read 16 bytes at a time from the beginning of b.
func aligned(b *buffer) bool { return b.at%16 == 0 }

// enoughThreadBlocks is the number of blocks that fills a large GPU a few times. With more
// work, each block does more.
const enoughThreadBlocks = 8 * 132

// minPacks is how many packs a thread processes at least, so that it can load several at
// the same time.
const minPacks = 4

func blocksOf(threads int) int { return (threads + blockSize - 1) / blockSize }

// gridOfPacks returns a grid for n packs in lines of that many lanes, which struct Share of the
// kernels divides. It has at least one thread for each lane.
func gridOfPacks(n, lanes int) grid {
	if n == 0 {
		return grid{}
	}
	return grid{max(blocksOf(lanes), min(blocksOf((n+minPacks-1)/minPacks), enoughThreadBlocks)), 1, 1, blockSize}
}

// A block of a pooling kernel computes pixelsOfBlock pixels at a time, and packsOfBlock
// packs of lanes of each, or morePacks times as many if that leaves enough blocks.
const (
	packsOfBlock  = 32
	pixelsOfBlock = blockSize / packsOfBlock
	morePacks     = 4
)

// pixels returns a grid for n pixels with that many packs of lanes each.
func pixels(n, lanes int) grid {
	if n == 0 {
		return grid{}
	}
	x, y := (lanes+packsOfBlock-1)/packsOfBlock, min((n+pixelsOfBlock-1)/pixelsOfBlock, maxGridDim)
	if x*y >= morePacks*enoughThreadBlocks {
		x = (x + morePacks - 1) / morePacks
	}
	return grid{x, y, 1, blockSize}
}

// references lists the memory to which a struct for a kernel has pointers, so that it is
// not freed.
type references []*buffer

func (r *references) memory() []*buffer { return *r }

// at returns the address of b and adds b to the list, or returns 0 for a nil b.
func (r *references) at(b *buffer) driver.Pointer {
	if b == nil {
		return 0
	}
	*r = append(*r, b)
	return b.at
}

// bf16Flag returns 1 if v is stored as bfloat16, else 0, as kernels expect it.
func bf16Flag(v *engine.Value) int32 { return int32(flag(isBF16(v))) }

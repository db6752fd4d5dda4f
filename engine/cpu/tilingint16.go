package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// tiling16 chooses the tiling with products of 16-bit integers for a convolution of
// activations in bfloat16 in a program without updates; false means the direct sum. The
// choice depends only on the shape of the layer, not on the batch: an image has the same
// bits in a batch of any size.
func (b *binder) tiling16(s *engine.Conv, runs []run) (tiling, bool) {
	_, cin, _, _ := s.X.Dims()
	_, cout, oh, ow := s.Y.Dims()
	if b.direct || !tiled(s.Window) || !isBF16(s.Y) {
		return tiling{}, false
	}
	if b.forced != nil {
		return *b.forced, true
	}
	if !b.Static || b.set.ISA == kernel.AMX || cin%16 != 0 || cout%16 != 0 {
		return tiling{}, false
	}
	if cin*cout >= 512*512 && oh*ow <= 49 {
		return tiling{}, false
	}
	if oh*ow < 36 {
		return tiling{}, false
	}
	if oh == 6 && ow == 6 {
		return tilings[1], true
	}
	return tilings[2], true
}

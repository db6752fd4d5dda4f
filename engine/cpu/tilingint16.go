package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// tiling16 chooses the tiling with products of 16-bit integers for a convolution of
// activations in bfloat16; false means the direct sum. In a program without updates the
// choice depends on nothing but the shape of the layer, so an image has the same bits in a
// batch of any size. AMX multiplies bfloat16 faster than that.
func (b *binder) tiling16(s *engine.Conv, runs []run) (tiling, bool) {
	if b.direct || !tiled(s.Window) || !isBF16(s.Y) {
		return tiling{}, false
	}
	if b.forced != nil {
		return *b.forced, true
	}
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.Y.Dims()
	if !b.Static {
		return b.device.trainingTiling16(s.Window, n, cin, cout, oh, ow, insideTaps(s.Window, h, w, oh, ow))
	}
	if b.set.ISA == kernel.AMX {
		return tiling{}, false
	}
	taps := 0
	for _, r := range runs {
		taps += r.count * len(r.taps)
	}
	return chooseTiling16(cin, cout, oh, ow, taps)
}

// chooseTiling16 returns the tiling that costs least for a convolution of many images with
// outputs of outH by outW, or false if none is faster than the direct sum both for many
// images and for one, for which the weights are read from memory. Costs are in
// multiply-adds: valueCost, for a transformed value, and readCost, for a weight, were
// measured. Few channels leave the transforms too little to share.
func chooseTiling16(cin, cout, outH, outW, directTaps int) (tiling, bool) {
	const valueCost, readCost, channels = 12, 5, 16
	if cin < channels || cout < channels || cin%16 != 0 || cout%16 != 0 {
		return tiling{}, false
	}
	product := float64(cin * cout)
	var best tiling
	least := float64(directTaps) * product
	direct := least + readCost*9*product
	for _, f := range tilings {
		tiles, points := float64(ceil(outH, f.m)*ceil(outW, f.m)), float64(f.points())
		cost := points * tiles * (product + float64(valueCost*(cin+cout)))
		if cost < least && cost+readCost*points*product < direct {
			best, least = f, cost
		}
	}
	return best, best.m > 0
}

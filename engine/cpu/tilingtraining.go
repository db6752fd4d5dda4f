package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// stepCosts are the costs of a tiling in a program that updates its weights, which are
// transformed in every run: of a transformed value and of a transformed weight, in
// multiply-adds of the products. A weight that is multiplied once, by all rows together, costs
// less, for it is in the cache. They were measured.
type stepCosts struct{ value, weight, once float64 }

var (
	costs16      = stepCosts{36, 83, 45}   // of products of 16-bit integers
	bandsCosts   = stepCosts{20, 20, 20}   // of the gradient of a weight in float32
	bandsCosts16 = stepCosts{60, 108, 108} // of the gradient of a weight by products of 16-bit integers
)

// choose returns the tiling that costs least for n images with outputs of outH by outW, or
// false if the direct sum does, which takes so many multiply-adds.
func (c stepCosts) choose(n, cin, cout, outH, outW int, direct float64) (best tiling, ok bool) {
	product := float64(cin * cout)
	for _, f := range tilings {
		tiles, weight := ceil(outH, f.m)*ceil(outW, f.m), c.weight
		if len(groupTiles(tiles, n, groupRows16(cin, n))) == 1 {
			weight = c.once
		}
		rows := float64(n * tiles)
		if cost := float64(f.points()) * (rows*(product+c.value*float64(cin+cout)) + weight*product); cost < direct {
			best, direct, ok = f, cost, true
		}
	}
	return best, ok
}

// trainingTiling16 chooses the tiling with products of 16-bit integers of a convolution, or
// of the gradient of its input, in a program that updates its weights; false means the
// direct sum. The choice depends only on the shape, unless the processor multiplies
// matrices of bfloat16 (AMX), where the direct sum is faster. taps counts those of an image
// that lie inside it.
func (d *Device) trainingTiling16(win engine.Window, n, cin, cout, outH, outW, taps int) (tiling, bool) {
	switch {
	case d.direct || !tiled(win):
		return tiling{}, false
	case d.forced != nil:
		return *d.forced, true
	case d.set.ISA == kernel.AMX || cin%16 != 0 || cout%16 != 0:
		return tiling{}, false
	}
	const panel = 32 // so many columns are computed together
	return costs16.choose(n, cin, ceil(cout, panel)*panel, outH, outW, float64(n*taps*cin*cout))
}

// gradInputTiling chooses the tiling of the gradient of a convolution's input.
func (d *Device) gradInputTiling(s *engine.ConvGradInput) (tiling, bool) {
	n, cin, h, w := s.DX.Dims()
	_, cout, oh, ow := s.DY.Dims()
	if !isBF16(s.DX) || !isBF16(s.DY) {
		return tiling{}, false
	}
	return d.trainingTiling16(s.Window, n, cout, cin, h, w, insideTaps(s.Window, h, w, oh, ow))
}

// insideTaps returns the number of taps of a convolution, over the pixels of one image,
// that lie inside it.
func insideTaps(win engine.Window, h, w, oh, ow int) int {
	along := func(in, out, size, stride, pad, dilation int) (taps int) {
		for i := range out {
			for k := range size {
				if at := i*stride - pad + k*dilation; at >= 0 && at < in {
					taps++
				}
			}
		}
		return taps
	}
	return along(h, oh, win.KH, win.StrideH, win.PadH, win.DilationH) * along(w, ow, win.KW, win.StrideW, win.PadW, win.DilationW)
}

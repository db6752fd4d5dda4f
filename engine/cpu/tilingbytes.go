package cpu

import "github.com/residual-ml/residual/engine"

// byteTiling chooses the tiling of a convolution of 8-bit integers; false means the direct
// sum. Both give the same bits, so the choice may depend on the batch.
func (b *binder) byteTiling(s *engine.Conv) (tiling, bool) {
	if b.direct || !tiled(s.Window) {
		return tiling{}, false
	}
	if b.forced != nil {
		return *b.forced, b.forced.m >= 3
	}
	n, cin, h, w := s.X.Dims()
	_, cout, oh, ow := s.Y.Dims()
	return chooseByteTiling(n, cin, cout, oh, ow, insideTaps(s.Window, h, w, oh, ow))
}

// chooseByteTiling returns the tiling that costs least for n images with outputs of outH by
// outW, or false if the direct sum does, which has so many taps inside an image. Costs are in
// multiply-adds of 16-bit integers, of which those of 8 bits cost half. valueCost, for a
// transformed value, and the costs of a weight of 16 bits that is read once for all images,
// from the cache if those of the layer take at most so many bytes there, were measured.
func chooseByteTiling(n, cin, cout, outH, outW, taps int) (tiling, bool) {
	const valueCost, cacheCost, memoryCost, cacheBytes = 20, 6, 32, 2 << 20
	if cin < 32 || cout < 32 || cin%16 != 0 || cout%16 != 0 {
		return tiling{}, false
	}
	product := float64(cin * cout)
	readCost := func(bytes float64) float64 {
		if bytes <= cacheBytes {
			return cacheCost
		}
		return memoryCost
	}
	var best tiling
	least := (float64(n*taps) + readCost(9*product)*9) * product / 2
	for _, f := range tilings[1:] {
		tiles, points := float64(n*ceil(outH, f.m)*ceil(outW, f.m)), float64(f.points())
		readCost := readCost(2 * points * product)
		if cost := points * (tiles*(product+float64(valueCost*(cin+cout))) + readCost*product); cost < least {
			best, least = f, cost
		}
	}
	return best, best.m > 0
}

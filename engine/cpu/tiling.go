package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// tiling is one of Winograd's minimal filterings F(m,3): m by m results of a 3x3
// convolution of stride 1 from t by t values, t = m+2, by t*t multiplications in
// place of 9*m*m (Lavin & Gray 2015, "Fast Algorithms for Convolutional Neural
// Networks", equation 8):
//
//	Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A
//
// Summed over channels, ⊙ becomes t*t matrix products, whose rows are the images of
// tiles. The layout [H][W][N][C] suits the transforms: they work on pixels of N*C
// neighbouring elements, so no data has to be rearranged.
type tiling struct {
	m, t                           int
	input, output, filter, flipped kernel.Mix
	outputGrad, filterGrad         kernel.Mix
}

var tilings = [...]tiling{
	{2, 4, kernel.Input2, kernel.Output2, kernel.Filter2, kernel.FilterFlip2, kernel.OutputGrad2, kernel.FilterGrad2},
	{3, 5, kernel.Input3, kernel.Output3, kernel.Filter3, kernel.FilterFlip3, kernel.OutputGrad3, kernel.FilterGrad3},
	{4, 6, kernel.Input4, kernel.Output4, kernel.Filter4, kernel.FilterFlip4, kernel.OutputGrad4, kernel.FilterGrad4},
}

func (f tiling) points() int { return f.t * f.t }

// trainingTilings are the tilings whose error is about that of the direct sum. The error
// of F(4,3) is 1.8 times as large (TestWinogradError), enough to change the loss of the
// tenth training step by 1e-3. It is used only for inference, where it makes a layer up
// to a quarter faster.
var trainingTilings = tilings[:2]

// chooseTiling returns the tiling that costs least for a convolution of n images with
// outputs of outH by outW, or false if the direct sum costs less. Costs are in
// multiply-adds; valueCost and weightCost, for a transformed value, were measured.
func chooseTiling(from []tiling, n, cin, cout, outH, outW int, directTaps int) (tiling, bool) {
	const valueCost, weightCost = 10, 20
	if cin < 16 || cout < 16 || n*outH*outW < 256 {
		return tiling{}, false
	}
	var best tiling
	product := float64(cin * cout)
	least := float64(n*directTaps) * product
	for _, f := range from {
		tiles, points := float64(n*ceil(outH, f.m)*ceil(outW, f.m)), float64(f.points())
		if cost := points * (tiles*(product+float64(valueCost*(cin+cout))) + weightCost*product); cost < least {
			best, least = f, cost
		}
	}
	return best, best.m > 0
}

// tiled reports whether a convolution has a shape that tilings can compute.
func tiled(w engine.Window) bool {
	return w.KH == 3 && w.KW == 3 && w.StrideH == 1 && w.StrideW == 1 && w.DilationH == 1 && w.DilationW == 1 &&
		w.Groups == 1 && w.PadH <= 2 && w.PadW <= 2
}

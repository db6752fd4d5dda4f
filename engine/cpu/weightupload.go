package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/tensor"
)

// uploadTerms is about how many weights of each output a task of uploadWeights moves.
const uploadTerms = 256

// uploadWeights writes the weights of a convolution, [out][in][taps], to dst as [taps][in][out], and
// those of a linear layer, which have one tap, in the same way. A task moves the weights of a few inputs. Its
// result is that of permute.
func (d *Device) uploadWeights(dst memory, src []float32, shape tensor.Shape) {
	out, in, taps := shape[0], shape[1], shape[2:].Numel()
	cols, each := d.set.Cols, ceil(uploadTerms, max(taps, 1))
	d.pool.run(ceil(in, each), func(task int) {
		from, until := task*each, min((task+1)*each, in)
		terms := (until - from) * taps
		panel := make([]float32, terms*cols)
		for o := 0; o < out; o += cols {
			n := min(cols, out-o)
			d.set.PackTransposed(panel, src[(o*in+from)*taps:], n, terms, in*taps, cols)
			for i := range terms {
				at := (i%taps*in + from + i/taps) * out
				copy(dst[at+o:at+o+n], panel[i*cols:])
			}
		}
	})
}

// isWeight reports whether v has one of the layouts that uploadWeights writes.
func isWeight(v *engine.Value) bool {
	return v.Layout == engine.ConvWeight || v.Layout == engine.LinearWeight
}

package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// TestConvStats compares the mean and the variance that a convolution in bfloat16 gathers
// with those of its results in float64, for means far from zero, and their bits on several
// threads. The convolutions are of a network's first layer, of strided and of narrow layers.
func TestConvStats(t *testing.T) {
	r := rand.New(rand.NewPCG(61, 7))
	for _, s := range []struct{ n, cin, cout, size, kernel, stride int }{
		{3, 3, 64, 40, 7, 2}, {3, 3, 24, 40, 7, 2}, {70, 3, 16, 9, 3, 1}, {33, 16, 16, 7, 3, 1}, {5, 24, 40, 9, 3, 2},
		{40, 32, 96, 8, 1, 1}, {3, 64, 64, 9, 1, 2}, {2, 5, 48, 9, 3, 1},
	} {
		name := fmt.Sprintf("%d images of %d channels to %d, %dx%[4]d stride %d", s.n, s.cin, s.cout, s.kernel, s.stride)
		op := graph.Conv2d{StrideH: s.stride, StrideW: s.stride, PadH: s.kernel / 2, PadW: s.kernel / 2, DilationH: 1, DilationW: 1, Groups: 1}
		g, feeds := graph.New(graph.Train), map[*graph.Node]*tensor.Tensor{}
		in := func(name string, offset float32, shape ...int) *graph.Node {
			node, x := g.Input(name, tensor.Float32, shape...), conformance.Random(r, shape...)
			for i, v := range x.Data() {
				x.Data()[i] = tensor.FromBFloat16(tensor.ToBFloat16(v + offset))
			}
			feeds[node] = x
			return node
		}
		x, w := in("x", 4, s.n, s.cin, s.size, s.size), in("weight", 0.25, s.cout, s.cin, s.kernel, s.kernel)
		y := g.Apply(op, x, w)
		stats := g.Apply(graph.BatchNormStats{}, y)
		spec := engine.Spec{Outputs: []*graph.Node{y, stats}, Precision: engine.BF16}
		for _, isa := range kernel.Available() {
			var first [][]float32
			for threads := 1; threads <= 3; threads++ {
				d, err := New(Options{Threads: threads, ISA: &isa, Direct: true})
				if err != nil {
					t.Fatal(err)
				}
				got := conformance.Evaluate(t, d, g, feeds, spec)
				d.Close()
				if first == nil {
					first = got
					mean, variance := momentsOf(feeds[x].Data(), feeds[w].Data(), op, x.Shape, y.Shape, s.kernel)
					checkMoments(t, name+", "+isa.String(), got[1], mean, variance)
				}
				if !conformance.SameBits(first[1], got[1]) {
					t.Errorf("%s, %v: other statistics with %d threads", name, isa, threads)
				}
			}
		}
	}
}

// momentsOf returns the mean and the variance of every channel of a convolution.
func momentsOf(x, w []float32, op graph.Conv2d, in, out tensor.Shape, size int) (mean, variance []float64) {
	mean, variance = make([]float64, out[1]), make([]float64, out[1])
	n, cin, h := in[0], in[1], in[2]
	for c := range out[1] {
		var sum, squares float64
		for i := range n * out[2] * out[3] {
			image, oy, ox := i/out[3]/out[2], i/out[3]%out[2], i%out[3]
			y := 0.0
			for k := range cin * size * size {
				ci, sy, sx := k/size/size, oy*op.StrideH-op.PadH+k/size%size, ox*op.StrideW-op.PadW+k%size
				if sy >= 0 && sy < h && sx >= 0 && sx < h {
					y += float64(x[((image*cin+ci)*h+sy)*h+sx]) * float64(w[c*cin*size*size+k])
				}
			}
			sum += y
			squares += y * y
		}
		count := float64(n * out[2] * out[3])
		mean[c] = sum / count
		variance[c] = squares/count - mean[c]*mean[c]
	}
	return mean, variance
}

func checkMoments(t *testing.T, name string, got []float32, mean, variance []float64) {
	t.Helper()
	for c := range mean {
		m, v := float64(got[c]), float64(got[len(mean)+c])
		if math.Abs(m-mean[c]) > 1e-5*math.Sqrt(mean[c]*mean[c]+variance[c]) || math.Abs(v-variance[c]) > 1e-4*variance[c] {
			t.Fatalf("%s: channel %d has mean %g and variance %g, want %g and %g", name, c, m, v, mean[c], variance[c])
		}
	}
}

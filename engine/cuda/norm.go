//go:build cuda

package cuda

import "github.com/residual-ml/residual/engine"

// Modes of the kernel column_sums.
const (
	sumOfX = iota
	sumOfSquares
	sumOfProducts
)

// columns adds up the rows of x, which is [rows][channels], and puts the sums divided
// by count into out.
type columns struct {
	x, dy, mask *engine.Value
	stats       *buffer
	eps         float64
	count       float64
	out         *buffer
}

// rowsPerStretch is how many rows one block adds up.
const rowsPerStretch = 512

func (b *binder) columns(mode int, s columns) {
	_, c, _, _ := s.x.Dims()
	rows := s.x.Numel() / c
	stretches := min((rows+rowsPerStretch-1)/rowsPerStretch, 256)
	stretch := (rows + stretches - 1) / stretches
	results := 1
	if mode == sumOfProducts {
		results = 2
	}
	part := b.borrow(0, 2*2*stretches*c) // float64
	b.launch("column_sums", grid{(c + 31) / 32, stretches, 1, blockSize}, mode, b.at(s.x), half(s.x), b.at(s.dy), half(s.dy),
		b.at(s.mask), half(s.mask), s.stats, float32(s.eps), rows, c, stretch, part)
	b.launch("column_finish", line(results*c), part, stretches, c, results, s.count, s.out)
}

// stats computes mean and biased variance, in two passes.
func (b *binder) stats(x, stats *engine.Value) {
	_, c, _, _ := x.Dims()
	out, count := b.at(stats), float64(x.Numel()/c)
	b.columns(sumOfX, columns{x: x, count: count, out: out.slice(0, c)})
	b.columns(sumOfSquares, columns{x: x, stats: out, count: count, out: out.slice(c, c)})
}

func (b *binder) batchNorm(s *engine.BatchNorm) {
	_, c, _, _ := s.X.Dims()
	n := s.X.Numel()
	b.launch("batch_norm", line(n), n, c, b.at(s.X), half(s.X), b.at(s.Residual), half(s.Residual), b.at(s.Y), half(s.Y),
		b.at(s.Stats), b.at(s.Gamma), b.at(s.Beta), float32(s.Eps), s.ReLU)
}

func (b *binder) batchNormReduce(s *engine.BatchNormReduce) {
	b.columns(sumOfProducts, columns{x: s.X, dy: s.DY, mask: s.Mask, stats: b.at(s.Stats), eps: s.Eps, count: 1, out: b.at(s.Out)})
}

func (b *binder) batchNormGrad(s *engine.BatchNormGrad) {
	_, c, _, _ := s.X.Dims()
	n := s.X.Numel()
	b.launch("batch_norm_grad", line(n), n, c, b.at(s.X), half(s.X), b.at(s.DY), half(s.DY), b.at(s.Mask), half(s.Mask),
		b.at(s.DX), half(s.DX), b.at(s.Masked), half(s.Masked), b.at(s.Stats), b.at(s.Gamma), b.at(s.Reduced),
		float32(s.Eps), float32(n/c), s.Frozen)
	if s.Sum != nil {
		b.columns(sumOfX, columns{x: s.DX, count: 1, out: b.at(s.Sum)})
	}
}

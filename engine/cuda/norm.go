//go:build cuda

package cuda

import (
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
)

// The modes of the kernel column_sums.
const (
	sumOfX = iota
	sumOfSquares
	sumOfProducts
)

// columns has the arguments of binder.columns, which sums the rows of x, [rows][channels],
// and writes the sums divided by count to out.
type columns struct {
	x, dy, mask *engine.Value
	normal      *engine.BatchNorm // the batch norm that made the mask, if the mask can be computed from x; else nil
	stats       *buffer
	eps         float64
	count       float64
	out         *buffer
}

// columnSums is struct Columns of the kernels.
type columnSums struct {
	x, dy, mask, stats          driver.Pointer
	gamma, beta, part           driver.Pointer
	eps                         float32
	xh, dh, mh, stretch, inSide int32

	references
}

func (c *columnSums) pointer() (unsafe.Pointer, int) {
	return unsafe.Pointer(c), int(unsafe.Offsetof(c.references))
}

// A block sums at most mostSide packs of channels. Each of its threads sums leastRows to
// mostRows rows in float32, so many that there are about columnBlocks blocks if possible.
const (
	mostSide     = 32
	leastRows    = 4
	mostRows     = 64
	columnBlocks = 4 * 132
)

func (b *binder) columns(mode int, s columns) {
	_, c, _, _ := s.x.Dims()
	rows := s.x.Numel() / c
	p := b.packsOf(c, s.x, s.dy, s.mask)
	lanes := c / p.width
	across := (lanes + mostSide - 1) / mostSide
	side := (lanes + across - 1) / across
	down := blockSize / side
	each := (rows*across + down*columnBlocks - 1) / (down * columnBlocks)
	stretch := down * min(max(each, leastRows), mostRows)
	stretches := (rows + stretch - 1) / stretch
	results := 1
	if mode == sumOfProducts {
		results = 2
	}
	part := b.borrow(0, 2*results*stretches*c) // float64
	a := &columnSums{eps: float32(s.eps), xh: bf16Flag(s.x), dh: bf16Flag(s.dy), mh: bf16Flag(s.mask), stretch: int32(stretch), inSide: int32(side)}
	a.x, a.dy, a.mask = a.at(b.at(s.x)), a.at(b.at(s.dy)), a.at(b.at(s.mask))
	a.stats, a.part = a.at(s.stats), a.at(part)
	if n := s.normal; n != nil {
		a.gamma, a.beta = a.at(b.at(n.Gamma)), a.at(b.at(n.Beta))
	}
	b.launch("column_sums"+p.name, grid{stretches, across, 1, blockSize}, mode, rows, c, a)
	b.columnFinish(part, stretches, c, results, s.count, s.out)
}

// columnsOfBlock is the number of columns that a block of column_finish sums.
const columnsOfBlock = 4

// columnFinish sums part, float64 [results][stretches][c], over the stretches and writes
// the sums divided by count to out.
func (b *binder) columnFinish(part *buffer, stretches, c, results int, count float64, out *buffer) {
	blocks := (results*c + columnsOfBlock - 1) / columnsOfBlock
	b.launch("column_finish", grid{blocks, 1, 1, blockSize}, part, stretches, c, results, count, out)
}

// stats computes mean and biased variance of every channel, in two passes.
func (b *binder) stats(x, stats *engine.Value) {
	_, c, _, _ := x.Dims()
	out, count := b.at(stats), float64(x.Numel()/c)
	b.columns(sumOfX, columns{x: x, count: count, out: out.slice(0, c)})
	b.columns(sumOfSquares, columns{x: x, stats: out, count: count, out: out.slice(c, c)})
}

// normArguments is struct Norm of the kernels.
type normArguments struct {
	x, residual, y, stats, gamma, beta driver.Pointer
	eps                                float32
	relu, xh, rh, yh                   int32
	_                                  int32

	references
}

func (n *normArguments) pointer() (unsafe.Pointer, int) {
	return unsafe.Pointer(n), int(unsafe.Offsetof(n.references))
}

func (b *binder) batchNorm(s *engine.BatchNorm) {
	_, c, _, _ := s.X.Dims()
	a := &normArguments{eps: float32(s.Eps), relu: int32(flag(s.ReLU)), xh: bf16Flag(s.X), rh: bf16Flag(s.Residual), yh: bf16Flag(s.Y)}
	a.x, a.residual, a.y = a.at(b.at(s.X)), a.at(b.at(s.Residual)), a.at(b.at(s.Y))
	a.stats, a.gamma, a.beta = a.at(b.at(s.Stats)), a.at(b.at(s.Gamma)), a.at(b.at(s.Beta))
	p := b.packsOf(c, s.X, s.Residual, s.Y)
	n := s.X.Numel()
	b.launch("batch_norm"+p.name, shares(n/p.width, c/p.width), n/c, c, a)
}

// unmasked returns a nil mask and the batch norm that computed mask from x, if a ReLU and
// no residual followed it. The kernel then computes the mask from x and need not read it.
// If there is no such batch norm, unmasked returns mask and nil.
func (b *binder) unmasked(mask, x, stats *engine.Value, eps float64) (*engine.Value, *engine.BatchNorm) {
	for _, s := range b.Steps {
		n, ok := s.(*engine.BatchNorm)
		if ok && mask != nil && n.Y == mask && n.X == x && n.Stats == stats && n.Eps == eps && n.ReLU && n.Residual == nil {
			return nil, n
		}
	}
	return mask, nil
}

func (b *binder) batchNormReduce(s *engine.BatchNormReduce) {
	mask, normal := b.unmasked(s.Mask, s.X, s.Stats, s.Eps)
	b.columns(sumOfProducts, columns{x: s.X, dy: s.DY, mask: mask, normal: normal, stats: b.at(s.Stats), eps: s.Eps, count: 1, out: b.at(s.Out)})
}

// normGradArguments is struct NormGrad of the kernels.
type normGradArguments struct {
	x, dy, mask, dx, handed, stats, gamma, beta, reduced, sums driver.Pointer
	eps                                                        float32
	frozen, xh, dh, mh, dxh, hh                                int32
	_                                                          int32

	references
}

func (n *normGradArguments) pointer() (unsafe.Pointer, int) {
	return unsafe.Pointer(n), int(unsafe.Offsetof(n.references))
}

func (b *binder) batchNormGrad(s *engine.BatchNormGrad) {
	_, c, _, _ := s.X.Dims()
	mask, normal := s.Mask, (*engine.BatchNorm)(nil)
	if !s.Frozen { // a frozen one does not read x
		mask, normal = b.unmasked(s.Mask, s.X, s.Stats, s.Eps)
	}
	a := &normGradArguments{
		eps: float32(s.Eps), frozen: int32(flag(s.Frozen)),
		xh: bf16Flag(s.X), dh: bf16Flag(s.DY), mh: bf16Flag(mask), dxh: bf16Flag(s.DX), hh: bf16Flag(s.Masked),
	}
	a.x, a.dy, a.mask = a.at(b.at(s.X)), a.at(b.at(s.DY)), a.at(b.at(mask))
	if normal != nil {
		a.beta = a.at(b.at(normal.Beta))
	}
	a.dx, a.handed = a.at(b.at(s.DX)), a.at(b.at(s.Masked))
	a.stats, a.gamma, a.reduced = a.at(b.at(s.Stats)), a.at(b.at(s.Gamma)), a.at(b.at(s.Reduced))
	a.sums = a.at(b.at(s.Sum))
	p := b.packsOf(c, s.X, s.DY, mask, s.DX, s.Masked)
	n := s.X.Numel()
	b.launch("batch_norm_grad"+p.name, shares(n/p.width, c/p.width), n/c, c, a)
}

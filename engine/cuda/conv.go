//go:build cuda

package cuda

import (
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
)

// window is struct Conv of the kernels.
type window struct {
	n, h, w, c, oh, ow, o, kh, kw, sh, sw, ph, pw, dh, dw, groups int32
}

func (w *window) pointer() (unsafe.Pointer, int) { return unsafe.Pointer(w), int(unsafe.Sizeof(*w)) }
func (w *window) memory() []*buffer              { return nil }

// windowOf returns the geometry of a convolution with input x and output y.
func windowOf(s engine.Window, x, y *engine.Value) *window {
	n, c, h, w := x.Dims()
	_, o, oh, ow := y.Dims()
	var g window
	for _, f := range []struct {
		to   *int32
		from int
	}{
		{&g.n, n}, {&g.h, h}, {&g.w, w}, {&g.c, c}, {&g.oh, oh}, {&g.ow, ow}, {&g.o, o}, {&g.kh, s.KH}, {&g.kw, s.KW},
		{&g.sh, s.StrideH}, {&g.sw, s.StrideW}, {&g.ph, s.PadH}, {&g.pw, s.PadW}, {&g.dh, s.DilationH}, {&g.dw, s.DilationW},
		{&g.groups, s.Groups},
	} {
		*f.to = int32(f.from)
	}
	return &g
}

// epilogue is struct Epilogue of the kernels.
type epilogue struct {
	bias, stats, gamma, beta, residual driver.Pointer
	eps                                float32
	bf16, relu                         int32
	_                                  int32

	references
}

func (e *epilogue) pointer() (unsafe.Pointer, int) {
	return unsafe.Pointer(e), int(unsafe.Offsetof(e.references))
}

// side is the number of rows and of columns of the result that a block computes.
const side = 64

func tiles(n int) int { return (n + side - 1) / side }

// mode returns the ending of a convolution kernel's name, which says how it multiplies x.
func (b *binder) mode(x *engine.Value) string {
	switch {
	case isBF16(x):
		return "_bf16"
	case b.Precision == engine.TF32:
		return "_tf32"
	}
	return "_fma"
}

func (b *binder) conv(s *engine.Conv) {
	g := windowOf(s.Window, s.X, s.Y)
	e := &epilogue{bf16: int32(flag(isBF16(s.Residual))), relu: int32(flag(s.ReLU))}
	e.bias, e.residual = e.at(b.at(s.Bias)), e.at(b.at(s.Residual))
	if n := s.Norm; n != nil {
		e.stats, e.gamma, e.beta, e.eps = e.at(b.at(n.Stats)), e.at(b.at(n.Gamma)), e.at(b.at(n.Beta)), float32(n.Eps)
	}
	rows, outs, groups := int(g.oh*g.ow*g.n), int(g.o/g.groups), int(g.groups)
	if kind := b.onTensorCores(g, s.X, s.Y, s.Residual); kind != generic {
		from := shapes
		if kind == grey {
			from = greyForward
		}
		w, taken := b.weight(s.W)
		var m *buffer
		if s.Stats != nil {
			m = b.borrow(taken, 2*momentSets(rows)*int(g.o))
		}
		b.block("forward", from, g, rows, outs, groups, b.at(s.X), w, b.at(s.Y), m, g, e)
		if s.Stats != nil {
			b.moments(m, taken+m.words, rows, int(g.o), s.Stats)
		}
		return
	}
	blocks := grid{tiles(rows), tiles(outs), groups, blockSize}
	b.launch("conv"+b.mode(s.X), blocks, b.at(s.X), isBF16(s.X), b.at(s.W), b.at(s.Y), isBF16(s.Y), g, e)
	if s.Stats != nil {
		b.stats(s.Y, s.Stats)
	}
}

func flag(v bool) int {
	if v {
		return 1
	}
	return 0
}

func (b *binder) convGradInput(s *engine.ConvGradInput) {
	g := windowOf(s.Window, s.DX, s.DY)
	if b.onTensorCores(g, s.DX, s.DY, s.Base) == vectors {
		w, _ := b.weight(s.W)
		b.block("backward", shapes, g, int(g.h*g.w*g.n), int(g.c/g.groups), int(g.groups), w, b.at(s.DY), b.at(s.Base), b.at(s.DX), g)
		return
	}
	blocks := grid{tiles(int(g.h * g.w * g.n)), tiles(int(g.c / g.groups)), int(g.groups), blockSize}
	b.launch("conv_grad_input"+b.mode(s.DY), blocks,
		b.at(s.W), b.at(s.DY), isBF16(s.DY), b.at(s.Base), isBF16(s.Base), b.at(s.DX), isBF16(s.DX), g)
}

// The sum over pixels is divided into stretches until there are about enoughBlocks blocks.
// A stretch has at least minStretch pixels, and the sums of all stretches at most
// maxPartWords words.
const (
	enoughBlocks = 1024
	minStretch   = 256
	maxPartWords = 1 << 24
)

func (b *binder) convGradWeight(s *engine.ConvGradWeight) {
	g := windowOf(s.Window, s.X, s.DY)
	rows, outs, pixels := int(g.kh*g.kw*(g.c/g.groups)), int(g.o/g.groups), int(g.oh*g.ow*g.n)
	size := s.DW.Numel()
	blocks := grid{tiles(rows), tiles(outs), int(g.groups), blockSize}
	parts := max(1, min(enoughBlocks/(blocks.x*blocks.y*blocks.z), pixels/minStretch, maxPartWords/max(size, 1)))
	stretch := roundUp((pixels+parts-1)/parts, windowDepth) // so that windows begin at the same images as chunks
	parts = (pixels + stretch - 1) / stretch
	blocks.z *= parts
	to := b.at(s.DW)
	if parts > 1 {
		to = b.borrow(0, parts*size)
	}
	switch b.onTensorCores(g, s.X, s.DY, nil) {
	case vectors:
		b.block("weights", weightShapes, g, rows, outs, blocks.z, b.at(s.X), b.at(s.DY), to, g, stretch)
	case grey:
		b.block("weights", greyWeights, g, rows, outs, blocks.z, b.at(s.X), b.at(s.DY), to, g, stretch)
	default:
		b.launch("conv_grad_weight"+b.mode(s.X), blocks, b.at(s.X), isBF16(s.X), b.at(s.DY), isBF16(s.DY), to, g, stretch)
	}
	if parts > 1 {
		b.launch("add_stretches", line(size), size, parts, to, b.at(s.DW))
	}
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

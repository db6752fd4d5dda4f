//go:build cuda

package cuda

import (
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

// pool is struct Pool of the kernels.
type pool struct {
	h, w, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw int32
}

func (p *pool) pointer() (unsafe.Pointer, int) { return unsafe.Pointer(p), int(unsafe.Sizeof(*p)) }
func (p *pool) memory() []*buffer              { return nil }

// spatial binds operations over the pixels of images.
func (b *binder) spatial(s *engine.Compute) bool {
	in := s.In
	switch op := s.Op.(type) {
	case graph.MaxPool2d:
		lanes := lanesOf(s.Out)
		p := b.packsOf(lanes, in[0], s.Out)
		b.launch("max_pool"+p.name, pixels(pixelsOf(s.Out), lanes/p.width), lanes, b.at(in[0]), isBF16(in[0]), b.at(s.Out), isBF16(s.Out),
			poolOf(op, in[0], s.Out))
	case graph.MaxPool2dGrad:
		b.maxPoolGrad(op, in[0], in[2], s.Out)
	case graph.AvgPool2d:
		_, _, h, w := in[0].Dims()
		_, _, oh, ow := s.Out.Dims()
		b.weigh(engine.Averages(op, h, w, oh, ow), in[0], s.Out)
	case graph.AvgPool2dGrad:
		_, _, oh, ow := in[0].Dims()
		b.weigh(engine.Transposed(engine.Averages(op.AvgPool2d, op.H, op.W, oh, ow), op.H*op.W), in[0], s.Out)
	case graph.AdaptiveAvgPool2d:
		_, _, h, w := in[0].Dims()
		b.weigh(engine.AdaptiveAverages(h, w, op.H, op.W), in[0], s.Out)
	case graph.AdaptiveAvgPool2dGrad:
		_, _, oh, ow := in[0].Dims()
		b.weigh(engine.Transposed(engine.AdaptiveAverages(op.H, op.W, oh, ow), op.H*op.W), in[0], s.Out)
	case graph.Upsample:
		_, _, h, w := in[0].Dims()
		b.weigh(engine.Interpolated(op, h, w), in[0], s.Out)
	case graph.UpsampleGrad:
		b.weigh(engine.Transposed(engine.Interpolated(op.Upsample, op.FromH, op.FromW), op.FromH*op.FromW), in[0], s.Out)
	case graph.PadChannels, graph.TakeChannels:
		_, from, _, _ := in[0].Dims()
		_, to, _, _ := s.Out.Dims()
		p := b.packsOf(from, in[0], s.Out)
		if to%p.width != 0 {
			p = packs{"", 1}
		}
		n := s.Out.Numel()
		b.launch("channels"+p.name, gridOfPacks(n/p.width, to/p.width), n/to, b.at(in[0]), isBF16(in[0]), from, b.at(s.Out), isBF16(s.Out), to)
	case graph.Dropout:
		b.dropout(op.P, op.Stream, false, in[0], s.Out)
	case graph.StochasticDepth:
		b.dropout(op.P, op.Stream, true, in[0], s.Out)
	default:
		return false
	}
	return true
}

// lanesOf returns the number of elements at one pixel: images times channels.
func lanesOf(v *engine.Value) int {
	n, c, _, _ := v.Dims()
	return n * c
}

// pixelsOf returns the number of pixels of one image.
func pixelsOf(v *engine.Value) int {
	_, _, h, w := v.Dims()
	return h * w
}

// maxTaps is how many taps of a window a byte can number.
const maxTaps = 256

// maxPoolGrad first finds the tap of each window that is the largest. Its number is a byte
// for each output, or a word where the kernel goes over single elements.
func (b *binder) maxPoolGrad(op graph.MaxPool2dGrad, x, dy, dx *engine.Value) {
	lanes := lanesOf(dx)
	p := b.packsOf(lanes, x, dy, dx)
	winners := dy.Numel() / 4
	if p.width == 1 || op.KH*op.KW > maxTaps {
		p, winners = packs{"", 1}, dy.Numel()
	}
	to, geometry := b.borrow(0, winners), poolOf(op.MaxPool2d, x, dy)
	b.launch("max_pool_winners"+p.name, pixels(pixelsOf(dy), lanes/p.width), lanes, b.at(x), isBF16(x), to, geometry)
	b.launch("max_pool_grad"+p.name, pixels(pixelsOf(dx), lanes/p.width), lanes, to, b.at(dy), isBF16(dy), b.at(dx), isBF16(dx), geometry)
}

func poolOf(op graph.MaxPool2d, x, y *engine.Value) *pool {
	_, _, h, w := x.Dims()
	_, _, oh, ow := y.Dims()
	return &pool{
		int32(h), int32(w), int32(oh), int32(ow), int32(op.KH), int32(op.KW), int32(op.StrideH), int32(op.StrideW),
		int32(op.PadH), int32(op.PadW), int32(op.DilationH), int32(op.DilationW),
	}
}

// weigh binds a weighted sum of input pixels for every output pixel.
func (b *binder) weigh(shares [][]engine.Share, in, out *engine.Value) {
	start, source, weight := []int32{0}, []int32{}, []float32{}
	for _, list := range shares {
		for _, s := range list {
			source, weight = append(source, int32(s.Source)), append(weight, s.Weight)
		}
		start = append(start, int32(len(source)))
	}
	lanes := lanesOf(out)
	p := b.packsOf(lanes, in, out)
	b.launch("weigh"+p.name, pixels(pixelsOf(out), lanes/p.width), lanes, pixelsOf(out), b.at(in), isBF16(in), b.at(out), isBF16(out),
		table(b, start), table(b, source), table(b, weight))
}

// dropout binds dropout, or stochastic depth where perImage is set. The random numbers of a
// run belong to row-major indices, or to the images of a batch.
func (b *binder) dropout(p float64, stream int, perImage bool, in, out *engine.Value) {
	if b.exe.key == nil {
		b.exe.key = b.d.alloc(2)
	}
	scale := float32(0)
	if p < 1 {
		scale = float32(1 / (1 - p))
	}
	n, c, h, w := in.Dims()
	pixels := h * w
	if in.RowMajor() { // elements, or the elements of every image, follow each other
		n, c, pixels = 1, in.Numel(), 1
		if perImage {
			n, c = in.Shape[0], in.Numel()/max(1, in.Shape[0])
		}
	}
	b.launch("dropout", line(in.Numel()), in.Numel(), b.at(in), isBF16(in), b.at(out), isBF16(out), b.exe.key, uint64(stream), p, scale,
		n, c, pixels, perImage)
}

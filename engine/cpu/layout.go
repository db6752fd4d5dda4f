package cpu

import (
	"fmt"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/tensor"
)

// Upload writes a host tensor to dst in the layout and type of v. Int64 labels become
// float32, which represents them exactly up to 2^24.
func (d *Device) Upload(dst engine.Buffer, v *engine.Value, src *tensor.Tensor) {
	to := dst.(memory)
	if v.DType == tensor.BFloat16 {
		d.uploadBF16(to.bf16()[:v.Numel()], v, src)
		return
	}
	if src.DType() == tensor.Int64 {
		for i, x := range src.Ints() {
			to[i] = float32(x)
		}
		return
	}
	if v.RowMajor() {
		copy(to, src.Data())
		return
	}
	n, c, h, w := v.Dims()
	if v.Layout == engine.Images {
		d.images.run(d.pool, activation{full: to}, src.Data(), n*c, h*w)
		return
	}
	if isWeight(v) {
		d.uploadWeights(to, src.Data(), v.Shape)
		return
	}
	permute(to, v.Layout.Strides(v.Shape), src.Data(), v.Shape.Strides(), v.Shape)
}

// Download reads v, which lies at src, into a float32 host tensor.
func (d *Device) Download(dst *tensor.Tensor, src engine.Buffer, v *engine.Value) {
	from := src.(memory)
	if dst.DType() != tensor.Float32 {
		panic(tensor.Misusef("cpu: reading %v into %v, which must be float32", v, dst))
	}
	if v.DType == tensor.BFloat16 {
		values := make([]float32, v.Numel())
		d.set.BF16.Widen(values, from.bf16()[:len(values)])
		from = values
	}
	if v.DType == tensor.Uint8 {
		values := make([]float32, v.Numel())
		d.set.Int8.WidenFloat(values, from.bytes()[:len(values)], v.Scale, float32(v.Zero))
		from = values
	}
	if v.RowMajor() {
		copy(dst.Data(), from)
		return
	}
	permute(dst.Data(), v.Shape.Strides(), from, v.Layout.Strides(v.Shape), v.Shape)
}

// uploadBF16 rounds a host tensor to bfloat16.
func (d *Device) uploadBF16(to []uint16, v *engine.Value, src *tensor.Tensor) {
	n, c, h, w := v.Dims()
	switch {
	case src.DType() == tensor.Int64:
		for i, x := range src.Ints() {
			to[i] = tensor.ToBFloat16(float32(x))
		}
	case v.RowMajor():
		d.set.BF16.Narrow(to, src.Data())
	case v.Layout == engine.Images:
		d.images.run(d.pool, activation{bf16: to}, src.Data(), n*c, h*w)
	default:
		panic(fmt.Sprintf("cpu: no upload of %v in layout %v", v, v.Layout))
	}
}

// permute copies a tensor of the given shape from strides ss to strides ds.
func permute(dst []float32, ds []int, src []float32, ss []int, shape tensor.Shape) {
	switch len(shape) {
	case 0:
		dst[0] = src[0]
	case 1:
		for i := range shape[0] {
			dst[i*ds[0]] = src[i*ss[0]]
		}
	default:
		for i := range shape[0] {
			if shape.Numel() > 0 {
				permute(dst[i*ds[0]:], ds[1:], src[i*ss[0]:], ss[1:], shape[1:])
			}
		}
	}
}

// relayout binds a copy of a tensor of the given shape from the layout and type of one
// value to those of another.
func (b *binder) relayout(from, to *engine.Value, shape tensor.Shape) func() {
	src, dst := b.act(from), b.act(to)
	if from.Layout == to.Layout {
		return b.convert(dst, src, from.Numel())
	}
	ds, ss := to.Layout.Strides(shape), from.Layout.Strides(shape)
	if src.full == nil || dst.full == nil {
		return b.gatherTo(dst, src, from.Numel(), func(i int) (int, int) { return offset(shape, ds, i), offset(shape, ss, i) })
	}
	work := func(i int) { permute(dst.full[i*ds[0]:], ds[1:], src.full[i*ss[0]:], ss[1:], shape[1:]) }
	return func() { b.pool.run(shape[0], work) }
}

// convert binds a copy of n elements to another type, in the same order.
func (b *binder) convert(dst, src activation, n int) func() {
	bytes := &b.set.Int8
	return b.blocks(n, func(lo, hi int) {
		switch {
		case src.bytes != nil && dst.bf16 != nil:
			bytes.Widen(dst.bf16[lo:hi], src.bytes[lo:hi], src.scale, src.zero)
		case src.bytes != nil:
			bytes.WidenFloat(dst.full[lo:hi], src.bytes[lo:hi], src.scale, src.zero)
		case dst.bytes != nil && src.bf16 != nil:
			bytes.Narrow(dst.bytes[lo:hi], src.bf16[lo:hi], 1/dst.scale, dst.zero)
		case dst.bytes != nil:
			bytes.NarrowFloat(dst.bytes[lo:hi], src.full[lo:hi], 1/dst.scale, dst.zero)
		case dst.bf16 != nil:
			b.set.BF16.Narrow(dst.bf16[lo:hi], src.full[lo:hi])
		default:
			b.set.BF16.Widen(dst.full[lo:hi], src.bf16[lo:hi])
		}
	})
}

// gatherTo binds a copy of n elements, one by one, between any types and orders. at
// returns the offsets of element i in dst and in src.
func (b *binder) gatherTo(dst, src activation, n int, at func(i int) (int, int)) func() {
	return b.blocks(n, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			d, s := at(i)
			dst.set(d, src.get(s))
		}
	})
}

// offset returns the offset, under the given strides, of the element of a shape whose
// row-major index is i.
func offset(shape tensor.Shape, strides []int, i int) int {
	at := 0
	for d := len(shape) - 1; d >= 0; d-- {
		at += i % shape[d] * strides[d]
		i /= shape[d]
	}
	return at
}

// reshape binds a copy in row-major order between tensors of different shapes. It
// returns nil if both values share memory and have the same order.
func (b *binder) reshape(s *engine.Compute) func() {
	in, out := s.In[0], s.Out
	if engine.SameOrder(in, out) {
		return b.copy(b.words(out), b.words(in))
	}
	src, dst := b.act(in), b.act(out)
	if in.RowMajor() && out.RowMajor() {
		return b.convert(dst, src, in.Numel())
	}
	si, di := rowMajorIndex(in), rowMajorIndex(out)
	if src.bytes != nil { // both are of 8 bits and on one grid
		return b.blocks(in.Numel(), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				dst.bytes[di[i]] = src.bytes[si[i]]
			}
		})
	}
	if src.bf16 != nil || dst.bf16 != nil {
		return b.gatherTo(dst, src, in.Numel(), func(i int) (int, int) { return int(di[i]), int(si[i]) })
	}
	return b.blocks(in.Numel(), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			dst.full[di[i]] = src.full[si[i]]
		}
	})
}

// rowMajorIndex lists the offsets of the elements of v in row-major order.
func rowMajorIndex(v *engine.Value) []int32 {
	strides := v.Layout.Strides(v.Shape)
	out := make([]int32, v.Numel())
	for i := range out {
		out[i] = int32(offset(v.Shape, strides, i))
	}
	return out
}

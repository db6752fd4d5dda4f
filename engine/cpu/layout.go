package cpu

import (
	"fmt"
	"sync"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/tensor"
)

// Upload writes a host tensor in the layout of v. Labels (Int64) become float32,
// which holds them exactly up to 2^24.
func (d *Device) Upload(dst engine.Buffer, v *engine.Value, src *tensor.Tensor) {
	to := dst.(memory)
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
		d.images.run(d.pool, to, src.Data(), n*c, h*w)
		return
	}
	permute(to, v.Layout.Strides(v.Shape), src.Data(), v.Shape.Strides(), v.Shape)
}

// Download reads v into a host tensor.
func (d *Device) Download(dst *tensor.Tensor, src engine.Buffer, v *engine.Value) {
	from := src.(memory)
	if dst.DType() != tensor.Float32 {
		panic(fmt.Sprintf("cpu: reading %v into %v", v, dst))
	}
	if v.RowMajor() {
		copy(dst.Data(), from)
		return
	}
	permute(dst.Data(), v.Shape.Strides(), from, v.Layout.Strides(v.Shape), v.Shape)
}

// imageUpload turns [n][c][pixels] into [pixels][n][c], a few pixels of all
// images a task.
type imageUpload struct {
	mu           sync.Mutex
	dst, src     []float32
	rows, pixels int
	work         func(int)
}

const uploadPixels = 16 // a cache line of the source

func (u *imageUpload) task(i int) {
	lo, hi := i*uploadPixels, min((i+1)*uploadPixels, u.pixels)
	for row := range u.rows {
		for p := lo; p < hi; p++ {
			u.dst[p*u.rows+row] = u.src[row*u.pixels+p]
		}
	}
}

func (u *imageUpload) run(p *pool, dst, src []float32, rows, pixels int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dst, u.src, u.rows, u.pixels = dst, src, rows, pixels
	p.run((pixels+uploadPixels-1)/uploadPixels, u.work)
	u.dst, u.src = nil, nil
}

// permute copies a tensor between two orders of its elements.
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

// relayout binds a copy between the layouts of two values that hold the same
// tensor of the given shape.
func (b *binder) relayout(from, to *engine.Value, shape tensor.Shape) func() {
	src, dst := b.mem(from), b.mem(to)
	ds, ss := to.Layout.Strides(shape), from.Layout.Strides(shape)
	if len(shape) == 0 {
		return func() { dst[0] = src[0] }
	}
	work := func(i int) { permute(dst[i*ds[0]:], ds[1:], src[i*ss[0]:], ss[1:], shape[1:]) }
	return func() { b.pool.run(shape[0], work) }
}

// reshape binds a copy in row-major order between tensors of different shapes,
// or nothing where the memory can stay as it is.
func (b *binder) reshape(s *engine.Compute) func() {
	in, out := s.In[0], s.Out
	src, dst := b.mem(in), b.mem(out)
	if engine.SameOrder(in, out) {
		return b.copy(dst, src)
	}
	si, di := rowMajorIndex(in), rowMajorIndex(out)
	return b.blocks(in.Numel(), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			dst[di[i]] = src[si[i]]
		}
	})
}

// rowMajorIndex lists where the elements of v lie, in row-major order.
func rowMajorIndex(v *engine.Value) []int32 {
	strides := v.Layout.Strides(v.Shape)
	out := make([]int32, v.Numel())
	for i := range out {
		at, rest := 0, i
		for d := len(v.Shape) - 1; d >= 0; d-- {
			at += rest % v.Shape[d] * strides[d]
			rest /= v.Shape[d]
		}
		out[i] = int32(at)
	}
	return out
}

package transforms

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/data/pixel"
	"github.com/residual-ml/residual/tensor"
)

// Interpolation is the filter by which an image is resized.
type Interpolation uint8

// These are Pillow's filters. All but Nearest antialias when a side shrinks.
const (
	Bilinear Interpolation = iota
	Bicubic
	Lanczos
	Hamming
	Box
	Nearest // the pixel at the position
)

// String returns the name of the filter in torchvision, such as "bilinear".
func (i Interpolation) String() string {
	names := [...]string{"bilinear", "bicubic", "lanczos", "hamming", "box", "nearest"}
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("interpolation %d", uint8(i))
}

// ParseInterpolation returns the filter with a name that String returns.
func ParseInterpolation(name string) (i Interpolation, ok bool) {
	for i := Bilinear; i <= Nearest; i++ {
		if i.String() == name {
			return i, true
		}
	}
	return Bilinear, false
}

// support returns the radius of the filter in pixels.
func (i Interpolation) support() float64 {
	switch i {
	case Bicubic:
		return 2
	case Lanczos:
		return 3
	case Box:
		return 0.5
	}
	return 1
}

// weight returns the value of the filter at x. Every product is rounded by a conversion, so
// that no processor fuses it with a sum and gets other coefficients. Source: Pillow,
// src/libImaging/Resample.c, bilinear_filter and the following functions.
func (i Interpolation) weight(x float64) float64 {
	d := math.Abs(x)
	switch i {
	case Bilinear:
		return max(1-d, 0)
	case Box:
		if x > -0.5 && x <= 0.5 {
			return 1
		}
		return 0
	case Hamming:
		if d >= 1 {
			return 0
		}
		const a, b = float64(float32(0.54)), float64(float32(0.46)) // they are floats in Pillow
		return float64(sinc(d) * (a + float64(b*math.Cos(d*math.Pi))))
	case Lanczos:
		if x >= -3 && x < 3 {
			return float64(sinc(x) * sinc(x/3))
		}
		return 0
	}
	const a = -0.5
	switch {
	case d < 1:
		return float64(float64((float64((a+2)*d)-(a+3))*d)*d) + 1
	case d < 2:
		return float64((float64((float64((d-5)*d)+8)*d) - 4) * a)
	}
	return 0
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

// filterTable is the table of one pass: output o is the sum over t < n of
// weight[o*n+t] * input[start[o]+t], in fixed point. Sums wrap as two's complement, so
// weights may be negative.
type filterTable struct {
	n      int
	start  []int32
	weight []uint32
}

// newFilterTable computes Pillow's coefficients for outputs from..to-1 when a side of in
// pixels is resized to out pixels. When the side shrinks, the filter widens with the scale,
// which antialiases. Source: Pillow, src/libImaging/Resample.c, precompute_coeffs and
// normalize_coeffs_8bpc.
func newFilterTable(in, out, from, to int, f Interpolation) *filterTable {
	scale := float64(in) / float64(out)
	if f == Nearest {
		return nearest(in, scale, from, to)
	}
	stretch := max(scale, 1)
	support := f.support() * stretch
	shrink := 1 / stretch
	maxTaps := min(int(math.Ceil(support))*2+1, in)
	raw := make([]float64, maxTaps)
	rows := make([]uint32, (to-from)*maxTaps)
	ends := make([]int32, to-from)
	t := &filterTable{start: make([]int32, to-from)}
	for i := range ends {
		center := float64((float64(from+i) + 0.5) * scale)
		lo := max(int(center-support+0.5), 0)
		hi := min(int(center+support+0.5), in)
		sum := 0.0
		for x := lo; x < hi; x++ {
			w := f.weight(float64((float64(x) - center + 0.5) * shrink))
			raw[x-lo] = w
			sum += w
		}
		if sum != 0 {
			for k, w := range raw[:hi-lo] {
				rows[i*maxTaps+k] = fixed(w / sum)
			}
		}
		t.start[i], ends[i] = int32(lo), int32(hi)
		t.n = max(t.n, hi-lo)
	}
	// Every window gets the same length, so that loops have a fixed length. The extra weights
	// are zero, and a window at the end of the side begins earlier instead.
	t.weight = make([]uint32, len(ends)*t.n)
	for i, hi := range ends {
		lo := int(t.start[i])
		s := min(lo, in-t.n)
		t.start[i] = int32(s)
		copy(t.weight[i*t.n+lo-s:(i+1)*t.n], rows[i*maxTaps:i*maxTaps+int(hi)-lo])
	}
	return t
}

// nearest is newFilterTable for Nearest. It adds up positions as ImagingScaleAffine does.
// Source: Pillow, src/libImaging/Geometry.c.
func nearest(in int, scale float64, from, to int) *filterTable {
	t := &filterTable{n: 1, start: make([]int32, to-from), weight: make([]uint32, to-from)}
	at := float64(scale * 0.5)
	for i := range to {
		if i >= from {
			t.start[i-from], t.weight[i-from] = int32(min(int(at), in-1)), 1<<pixel.Bits
		}
		at += scale
	}
	return t
}

// fixed rounds a weight to fixed point; halves are rounded away from zero.
func fixed(w float64) uint32 {
	half := math.Copysign(0.5, w)
	return uint32(int64(half + float64(w*(1<<pixel.Bits))))
}

// across returns the horizontal pass over rows of in pixels.
func (t *filterTable) across(in int) *pixel.Across {
	return pixel.NewAcross(in, t.n, t.start, t.weight)
}

// down is the vertical pass: it resizes the columns of src, which is w pixels wide, to dh
// pixels.
func (t *filterTable) down(dst []uint8, w, dh int, src []uint8) {
	for y := range dh {
		pixel.Down(dst[y*w:(y+1)*w], src[int(t.start[y])*w:], w, t.weight[y*t.n:(y+1)*t.n])
	}
}

// Resampler resizes 8-bit planes from one size to another by precomputed tables. Several
// goroutines may use it at once, each with a Scratch of its own.
type Resampler struct {
	sw, sh, dw, dh int
	h              *pixel.Across // the horizontal pass; nil when the width does not change
	ht             *filterTable  // the table of h
	v              *filterTable  // the vertical pass; nil when the height does not change
	top, bottom    int           // the rows of the source that are needed
}

// Scratch is the memory for the result between the two passes of a resize.
type Scratch struct{ mid []uint8 }

// NewResampler returns a Resampler from planes of sh rows of sw pixels to dh rows of dw
// pixels. It panics when a side is below 1.
func NewResampler(dw, dh, sw, sh int, f Interpolation) *Resampler {
	if dw < 1 || dh < 1 || sw < 1 || sh < 1 {
		panic(tensor.Misusef("transforms.NewResampler: [%d, %d] to [%d, %d]", sh, sw, dh, dw))
	}
	r := &Resampler{sw: sw, sh: sh, dw: dw, dh: dh, bottom: sh}
	if dw != sw {
		r.ht = newFilterTable(sw, dw, 0, dw, f)
		r.h = r.ht.across(sw)
	}
	if dh != sh {
		r.v = newFilterTable(sh, dh, 0, dh, f)
	}
	return r
}

// newWindow returns a Resampler that computes only a part of the result of dw by dh pixels:
// w by h pixels from (left, top).
func newWindow(dw, dh, sw, sh int, f Interpolation, left, top, w, h int) *Resampler {
	side := func(in, out, from, to int) *filterTable {
		if in == out { // Pillow does not filter a side that does not change
			t := &filterTable{n: 1, start: make([]int32, to-from), weight: make([]uint32, to-from)}
			for i := range t.start {
				t.start[i], t.weight[i] = int32(from+i), 1<<pixel.Bits
			}
			return t
		}
		return newFilterTable(in, out, from, to, f)
	}
	r := &Resampler{sw: sw, sh: sh, dw: w, dh: h, h: side(sw, dw, left, left+w).across(sw), v: side(sh, dh, top, top+h)}
	r.top, r.bottom = sh, 0
	for _, s := range r.v.start {
		r.top, r.bottom = min(r.top, int(s)), max(r.bottom, int(s)+r.v.n)
	}
	for i := range r.v.start {
		r.v.start[i] -= int32(r.top)
	}
	return r
}

// Pass is the table of one pass of a resize, for implementations on other devices. Output
// pixel o is the sum over t < Taps of Weight[o*Taps+t] times input pixel Start[o]+t, in fixed
// point with pixel.Bits fractional bits, rounded and clamped to a byte. Sums wrap.
type Pass struct {
	Taps   int
	Start  []int32
	Weight []uint32
}

// Passes returns the tables of the horizontal pass, which comes first, and of the vertical
// pass; the result in between is rounded to bytes. A table is nil when that side does not
// change.
func (r *Resampler) Passes() (across, down *Pass) {
	pass := func(t *filterTable) *Pass {
		if t == nil {
			return nil
		}
		return &Pass{t.n, t.start, t.weight}
	}
	return pass(r.ht), pass(r.v)
}

// Scratch returns a new Scratch for Plane.
func (r *Resampler) Scratch() *Scratch {
	s := &Scratch{}
	if r.h != nil && r.v != nil {
		s.mid = make([]uint8, r.dw*(r.bottom-r.top))
	}
	return s
}

// Plane resizes src into dst, with the same bits as Pillow's Image.resize: horizontally, then
// vertically, rounding to 8 bits in between. It panics when a slice does not have exactly
// the size of its plane.
func (r *Resampler) Plane(dst, src []uint8, s *Scratch) {
	if len(dst) != r.dw*r.dh || len(src) != r.sw*r.sh {
		panic(tensor.Misusef("transforms.Resampler: %d bytes of [%d, %d] to %d bytes of [%d, %d]", len(src), r.sh, r.sw, len(dst), r.dh, r.dw))
	}
	switch {
	case r.h == nil && r.v == nil:
		copy(dst, src)
	case r.v == nil:
		r.h.Rows(dst, r.dw, src, r.sw, r.sh)
	case r.h == nil:
		r.v.down(dst, r.dw, r.dh, src)
	default:
		r.h.Rows(s.mid, r.dw, src[r.top*r.sw:], r.sw, r.bottom-r.top)
		r.v.down(dst, r.dw, r.dh, s.mid)
	}
}

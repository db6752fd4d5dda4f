package transforms

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Interpolation is how pixels between pixels are found.
type Interpolation uint8

// Pillow's filters, antialiased when a side shrinks.
const (
	Bilinear Interpolation = iota
	Bicubic
)

// String returns torchvision's name.
func (i Interpolation) String() string {
	switch i {
	case Bilinear:
		return "bilinear"
	case Bicubic:
		return "bicubic"
	}
	return fmt.Sprintf("interpolation %d", uint8(i))
}

// support is how far the filter reaches, in pixels of the larger side.
func (i Interpolation) support() float64 {
	if i == Bicubic {
		return 2
	}
	return 1
}

// weight is the filter at distance d >= 0. Every product is rounded on its own, so
// that no processor fuses it with a sum and gets other coefficients. Source:
// Pillow, src/libImaging/Resample.c, bilinear_filter and bicubic_filter.
func (i Interpolation) weight(d float64) float64 {
	if i == Bilinear {
		return max(1-d, 0)
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

// precisionBits is Pillow's PRECISION_BITS for 8-bit pixels: 32 bits, less 8 for
// the pixel and 2 of headroom.
const precisionBits = 32 - 8 - 2

// taps is the table of one pass: output o is the sum over t < n of
// weight[o*n+t] * input[start[o]+t], in fixed point. Sums wrap as two's complement, so
// that a weight may be negative.
type taps struct {
	n      int
	signed bool // some weight is negative
	start  []int32
	weight []uint32
}

// newTaps builds Pillow's coefficients for outputs from..to-1 of a side of in pixels
// that becomes one of out. When the side shrinks the filter widens with the scale,
// which is what antialiases. Source: Pillow, src/libImaging/Resample.c,
// precompute_coeffs and normalize_coeffs_8bpc.
func newTaps(in, out, from, to int, f Interpolation) *taps {
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support := f.support() * stretch
	shrink := 1 / stretch
	most := min(int(math.Ceil(support))*2+1, in)
	raw := make([]float64, most)
	lo := make([]int, to-from)
	rows := make([][]uint32, to-from)
	t := &taps{start: make([]int32, to-from)}
	for i := range rows {
		center := float64((float64(from+i) + 0.5) * scale)
		lo[i] = max(int(center-support+0.5), 0)
		hi := min(int(center+support+0.5), in)
		sum := 0.0
		for x := lo[i]; x < hi; x++ {
			w := f.weight(math.Abs(float64((float64(x) - center + 0.5) * shrink)))
			raw[x-lo[i]] = w
			sum += w
		}
		row := make([]uint32, hi-lo[i])
		for k := range row {
			if sum != 0 {
				row[k] = fixed(raw[k] / sum)
				t.signed = t.signed || int32(row[k]) < 0
			}
		}
		rows[i] = row
		t.n = max(t.n, len(row))
	}
	// Every window gets the same length, so that the loops are fixed; the extra
	// weights are zero, and a window at the far edge begins earlier instead.
	t.weight = make([]uint32, len(rows)*t.n)
	for i, row := range rows {
		s := min(lo[i], in-t.n)
		t.start[i] = int32(s)
		copy(t.weight[i*t.n+lo[i]-s:], row)
	}
	return t
}

// fixed rounds a weight to fixed point, halves away from zero.
func fixed(w float64) uint32 {
	half := math.Copysign(0.5, w)
	return uint32(int64(half + float64(w*(1<<precisionBits))))
}

// clip returns the pixel of a sum in fixed point.
func clip(s uint32) uint8 { return uint8(max(min(int32(s)>>precisionBits, 255), 0)) }

// horizontal resizes each of h rows of sw pixels to dw pixels.
func (t *taps) horizontal(dst []uint8, dw int, src []uint8, sw, h int) {
	const half = 1 << (precisionBits - 1)
	for y := range h {
		in, out := src[y*sw:(y+1)*sw], dst[y*dw:(y+1)*dw]
		start := t.start[:len(out)]
		if t.n == 2 {
			weight := t.weight[:2*len(out)]
			for x := range out {
				p := in[start[x]:]
				s := half + uint32(p[0])*weight[2*x] + uint32(p[1])*weight[2*x+1]
				out[x] = clip(s)
			}
			continue
		}
		for x := range out {
			w := t.weight[x*t.n : (x+1)*t.n]
			p := in[start[x]:][:len(w)]
			s := uint32(half)
			for k, v := range w {
				s += uint32(p[k]) * v
			}
			out[x] = clip(s)
		}
	}
}

// vertical resizes w columns to dh pixels.
func (t *taps) vertical(dst []uint8, w, dh int, src []uint8, acc []uint32) {
	const half = 1 << (precisionBits - 1)
	acc = acc[:w]
	for y := range dh {
		out := dst[y*w : (y+1)*w]
		weight, first := t.weight[y*t.n:(y+1)*t.n], int(t.start[y])*w
		if t.n == 2 && !t.signed {
			blend(out, src[first:first+w], src[first+w:first+2*w], weight[0], weight[1])
			continue
		}
		for x := range acc {
			acc[x] = half
		}
		for k, v := range weight {
			row := src[first+k*w : first+(k+1)*w]
			row = row[:len(acc)]
			for x := range acc {
				acc[x] += uint32(row[x]) * v
			}
		}
		for x, s := range acc {
			out[x] = clip(s)
		}
	}
}

// blend writes (a*wa + b*wb) rounded, eight pixels at a time: two 32-bit lanes of a
// word each hold one sum, which stays below 256<<precisionBits as the weights add up
// to 1 within a unit in the last place.
func blend(out, a, b []uint8, wa, wb uint32) {
	const (
		half  = 1 << (precisionBits - 1)
		both  = half<<32 | half
		lanes = 0xff<<32 | 0xff
	)
	va, vb := uint64(wa), uint64(wb)
	for ; len(out) >= 8; out, a, b = out[8:], a[8:], b[8:] {
		p, q := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b)
		s0 := (p&lanes)*va + (q&lanes)*vb + both
		s1 := (p>>8&lanes)*va + (q>>8&lanes)*vb + both
		s2 := (p>>16&lanes)*va + (q>>16&lanes)*vb + both
		s3 := (p>>24&lanes)*va + (q>>24&lanes)*vb + both
		binary.LittleEndian.PutUint64(out, s0>>precisionBits&lanes|s1>>precisionBits&lanes<<8|
			s2>>precisionBits&lanes<<16|s3>>precisionBits&lanes<<24)
	}
	for x := range out {
		out[x] = uint8((half + uint32(a[x])*wa + uint32(b[x])*wb) >> precisionBits)
	}
}

// Resampler holds the tables of one resize of 8-bit planes. It may be used from
// several goroutines at once, each with a Scratch of its own.
type Resampler struct {
	sw, sh, dw, dh int
	h, v           *taps // nil when that side does not change: the pass is skipped
	top, bottom    int   // the rows of the source that are needed
}

// Scratch is what one resize in flight needs besides its input and output.
type Scratch struct {
	mid []uint8
	acc []uint32
}

// NewResampler makes the tables to resize planes of sh rows of sw pixels to dh rows
// of dw pixels. It panics when a side is below 1.
func NewResampler(dw, dh, sw, sh int, f Interpolation) *Resampler {
	if dw < 1 || dh < 1 || sw < 1 || sh < 1 {
		panic(fmt.Sprintf("transforms.NewResampler: [%d, %d] to [%d, %d]", sh, sw, dh, dw))
	}
	r := &Resampler{sw: sw, sh: sh, dw: dw, dh: dh, bottom: sh}
	if dw != sw {
		r.h = newTaps(sw, dw, 0, dw, f)
	}
	if dh != sh {
		r.v = newTaps(sh, dh, 0, dh, f)
	}
	return r
}

// newWindow makes the tables for a part of what NewResampler would make: w by h
// pixels from (left, top) of the dw by dh.
func newWindow(dw, dh, sw, sh int, f Interpolation, left, top, w, h int) *Resampler {
	side := func(in, out, from, to int) *taps {
		if in == out { // Pillow leaves that side alone
			t := &taps{n: 1, start: make([]int32, to-from), weight: make([]uint32, to-from)}
			for i := range t.start {
				t.start[i], t.weight[i] = int32(from+i), 1<<precisionBits
			}
			return t
		}
		return newTaps(in, out, from, to, f)
	}
	r := &Resampler{sw: sw, sh: sh, dw: w, dh: h, h: side(sw, dw, left, left+w), v: side(sh, dh, top, top+h)}
	r.top, r.bottom = sh, 0
	for _, s := range r.v.start {
		r.top, r.bottom = min(r.top, int(s)), max(r.bottom, int(s)+r.v.n)
	}
	for i := range r.v.start {
		r.v.start[i] -= int32(r.top)
	}
	return r
}

// Scratch makes a Scratch for Plane.
func (r *Resampler) Scratch() *Scratch {
	s := &Scratch{acc: make([]uint32, r.dw)}
	if r.h != nil && r.v != nil {
		s.mid = make([]uint8, r.dw*(r.bottom-r.top))
	}
	return s
}

// Plane resizes src into dst, with the same bits as Pillow's Image.resize: first
// across, then down, 8 bits in between. It panics when a slice does not hold exactly
// its plane.
func (r *Resampler) Plane(dst, src []uint8, s *Scratch) {
	if len(dst) != r.dw*r.dh || len(src) != r.sw*r.sh {
		panic(fmt.Sprintf("transforms.Resampler: %d bytes of [%d, %d] to %d bytes of [%d, %d]", len(src), r.sh, r.sw, len(dst), r.dh, r.dw))
	}
	switch {
	case r.h == nil && r.v == nil:
		copy(dst, src)
	case r.v == nil:
		r.h.horizontal(dst, r.dw, src, r.sw, r.sh)
	case r.h == nil:
		r.v.vertical(dst, r.dw, r.dh, src, s.acc)
	default:
		r.h.horizontal(s.mid, r.dw, src[r.top*r.sw:], r.sw, r.bottom-r.top)
		r.v.vertical(dst, r.dw, r.dh, s.mid, s.acc)
	}
}

package data

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
)

// precisionBits is Pillow's PRECISION_BITS for 8-bit pixels: 32 bits, less 8 for
// the pixel and 2 of headroom.
const precisionBits = 32 - 8 - 2

// taps is the table of one pass: output o is the sum over t < n of
// weight[o*n+t] * input[start[o]+t], in fixed point.
type taps struct {
	n      int
	start  []int32
	weight []uint32
}

// newTaps builds Pillow's bilinear (triangle) coefficients for one side. When the
// side shrinks the triangle widens with the scale, which is what antialiases.
// Source: Pillow, src/libImaging/Resample.c, precompute_coeffs and
// normalize_coeffs_8bpc. Every product is rounded on its own, so that no
// processor fuses it with a sum and gets other coefficients.
func newTaps(in, out int) *taps {
	scale := float64(in) / float64(out)
	support := max(scale, 1)
	shrink := 1 / support
	most := min(int(math.Ceil(support))*2+1, in)
	raw := make([]float64, most)
	lo, hi := make([]int, out), make([]int, out)
	rows := make([][]uint32, out)
	t := &taps{start: make([]int32, out)}
	for o := range out {
		center := float64((float64(o) + 0.5) * scale)
		lo[o] = max(int(center-support+0.5), 0)
		hi[o] = min(int(center+support+0.5), in)
		sum := 0.0
		for x := lo[o]; x < hi[o]; x++ {
			d := math.Abs(float64((float64(x) - center + 0.5) * shrink))
			w := max(1-d, 0)
			raw[x-lo[o]] = w
			sum += w
		}
		row := make([]uint32, hi[o]-lo[o])
		for k := range row {
			if sum != 0 {
				row[k] = uint32(int64(0.5 + float64(raw[k]/sum*(1<<precisionBits))))
			}
		}
		rows[o] = row
		t.n = max(t.n, len(row))
	}
	// Every window gets the same length, so that the loops are fixed; the extra
	// weights are zero, and a window at the far edge begins earlier instead.
	t.weight = make([]uint32, out*t.n)
	for o, row := range rows {
		s := min(lo[o], in-t.n)
		t.start[o] = int32(s)
		copy(t.weight[o*t.n+lo[o]-s:], row)
	}
	return t
}

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
				out[x] = uint8(min(s>>precisionBits, 255))
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
			out[x] = uint8(min(s>>precisionBits, 255))
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
		if t.n == 2 {
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
			out[x] = uint8(min(s>>precisionBits, 255))
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

// resizer holds the tables and the sizes of one resize of 8-bit planes.
type resizer struct {
	sw, sh, dw, dh int
	h, v           *taps // nil when that side does not change: the pass is skipped
}

// planeScratch is what one resize in flight needs besides its input and output.
type planeScratch struct {
	src, mid []uint8
	acc      []uint32
}

func newResizer(dw, dh, sw, sh int) *resizer {
	r := &resizer{sw: sw, sh: sh, dw: dw, dh: dh}
	if dw != sw {
		r.h = newTaps(sw, dw)
	}
	if dh != sh {
		r.v = newTaps(sh, dh)
	}
	return r
}

func (r *resizer) scratch(channels int) *planeScratch {
	return &planeScratch{
		src: make([]uint8, channels*r.sw*r.sh),
		mid: make([]uint8, r.dw*r.sh),
		acc: make([]uint32, r.dw),
	}
}

func (r *resizer) plane(dst, src []uint8, s *planeScratch) {
	switch {
	case r.h == nil && r.v == nil:
		copy(dst, src)
	case r.v == nil:
		r.h.horizontal(dst, r.dw, src, r.sw, r.sh)
	case r.h == nil:
		r.v.vertical(dst, r.dw, r.dh, src, s.acc)
	default:
		r.h.horizontal(s.mid, r.dw, src, r.sw, r.sh)
		r.v.vertical(dst, r.dw, r.dh, s.mid, s.acc)
	}
}

// ResizeBilinear resizes one 8-bit plane of sh rows of sw pixels to dh rows of dw
// pixels, with the same bits as Pillow's Image.resize((dw, dh), BILINEAR): first
// across, then down, 8 bits in between, antialiased when a side shrinks. It panics
// when a side is below 1 or a slice does not hold exactly its plane. It builds its
// tables anew on every call; Resize keeps them.
func ResizeBilinear(dst []uint8, dw, dh int, src []uint8, sw, sh int) {
	if dw < 1 || dh < 1 || sw < 1 || sh < 1 || len(dst) != dw*dh || len(src) != sw*sh {
		panic(fmt.Sprintf("data.ResizeBilinear: %d bytes of [%d, %d] to %d bytes of [%d, %d]",
			len(src), sh, sw, len(dst), dh, dw))
	}
	r := newResizer(dw, dh, sw, sh)
	r.plane(dst, src, r.scratch(0))
}

// Resize returns a view of ds whose pictures are size by size pixels, resized as
// Pillow's bilinear filter does. Size 0, or the size ds already has, returns ds.
func Resize(ds Dataset, size int) Dataset {
	info := ds.Info()
	if size == 0 || size == info.Height && size == info.Width {
		return ds
	}
	if size < 0 {
		panic(fmt.Sprintf("data.Resize: size %d for %s", size, info.Name))
	}
	v := &resized{ds: ds, info: info, r: newResizer(size, size, info.Width, info.Height)}
	v.info.Height, v.info.Width = size, size
	v.pool.New = func() any { return v.r.scratch(info.Channels) }
	return v
}

type resized struct {
	ds   Dataset
	info Info
	r    *resizer
	pool sync.Pool // of *planeScratch
}

func (v *resized) Info() Info { return v.info }
func (v *resized) Len() int   { return v.ds.Len() }

func (v *resized) Get(i int, pix []uint8) (int, error) {
	checkGet(v.info, v.ds.Len(), i, pix)
	s := v.pool.Get().(*planeScratch)
	defer v.pool.Put(s)
	label, err := v.ds.Get(i, s.src)
	if err != nil {
		return 0, err
	}
	in, out := v.r.sw*v.r.sh, v.r.dw*v.r.dh
	for c := range v.info.Channels {
		v.r.plane(pix[c*out:(c+1)*out], s.src[c*in:(c+1)*in], s)
	}
	return label, nil
}

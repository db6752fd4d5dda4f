package pixel

// Across is a pass of a resize along rows: output o is the sum over t < taps of
// weights[o*taps+t] * input[starts[o]+t], rounded.
type Across struct {
	in, taps int
	starts   []int32
	weights  []uint32

	// For eight outputs at once, where their windows are narrow enough; else nil. Each
	// group has two windows of 16 bytes of input, for four outputs each, and of each tap
	// a shuffle and eight weights. Groups begin at ats; the last may overlap.
	windows, ats []int32
	masks        []uint8
	spread       []uint32
}

const (
	group  = 8
	window = 16
)

// NewAcross prepares a pass over rows of in pixels. Every window must lie within them.
func NewAcross(in, taps int, starts []int32, weights []uint32) *Across {
	a := &Across{in: in, taps: taps, starts: starts, weights: weights}
	if hasAVX2 && len(starts) >= group && in >= window {
		a.gather()
	}
	return a
}

// gather fills in what eight outputs at once need, or leaves it.
func (a *Across) gather() {
	out := len(a.starts)
	groups := (out + group - 1) / group
	windows, ats := make([]int32, 0, 2*groups), make([]int32, 0, groups)
	masks, spread := make([]uint8, groups*a.taps*32), make([]uint32, groups*a.taps*group)
	for g := range groups {
		first := min(g*group, out-group)
		ats = append(ats, int32(first))
		for half := range 2 {
			base := min(a.starts[first+4*half], int32(a.in-window))
			windows = append(windows, base)
			for j := range 4 {
				o := first + 4*half + j
				off := int(a.starts[o] - base)
				if off < 0 || off+a.taps > window {
					return
				}
				for t := range a.taps {
					spread[(g*a.taps+t)*group+4*half+j] = a.weights[o*a.taps+t]
					m := masks[(g*a.taps+t)*32+16*half+4*j:][:4]
					m[0], m[1], m[2], m[3] = uint8(off+t), 0x80, 0x80, 0x80
				}
			}
		}
	}
	a.windows, a.ats, a.masks, a.spread = windows, ats, masks, spread
}

// Rows resizes h rows, srcStride and dstStride apart.
func (a *Across) Rows(dst []uint8, dstStride int, src []uint8, srcStride, h int) {
	if h == 0 {
		return
	}
	_, _ = dst[(h-1)*dstStride+len(a.starts)-1], src[(h-1)*srcStride+a.in-1]
	if a.windows == nil || h < 4 {
		a.rows(dst, dstStride, src, srcStride, h)
		return
	}
	for y := 0; y < h; y += 4 {
		y = min(y, h-4)
		horizontalAVX2(&dst[y*dstStride], dstStride, &src[y*srcStride], srcStride,
			&a.windows[0], &a.masks[0], &a.spread[0], len(a.ats), a.taps, &a.ats[0])
	}
}

// rows is the pass in portable Go.
func (a *Across) rows(dst []uint8, dstStride int, src []uint8, srcStride, h int) {
	for y := range h {
		in, out := src[y*srcStride:][:a.in], dst[y*dstStride:][:len(a.starts)]
		if a.taps == 2 {
			starts, weights := a.starts[:len(out)], a.weights[:2*len(out)]
			for x := range out {
				p := in[starts[x]:]
				out[x] = clip(1<<(Bits-1) + uint32(p[0])*weights[2*x] + uint32(p[1])*weights[2*x+1])
			}
			continue
		}
		for x := range out {
			w := a.weights[x*a.taps : (x+1)*a.taps]
			p := in[a.starts[x]:][:len(w)]
			s := uint32(1 << (Bits - 1))
			for k, v := range w {
				s += uint32(p[k]) * v
			}
			out[x] = clip(s)
		}
	}
}

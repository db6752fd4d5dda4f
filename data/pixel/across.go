package pixel

// Across is the horizontal pass of a resize. Output o of a row is the sum over t < taps of
// weights[o*taps+t] * input[starts[o]+t], rounded.
type Across struct {
	in, taps int
	starts   []int32
	weights  []uint32

	// These are the tables for computing groups of eight outputs at once; they are nil when
	// the windows of input are too wide. A group has two windows of 16 bytes of input, each for
	// four outputs, and for each tap a shuffle mask and eight weights. outputs holds the first
	// output of each group; the last group may overlap the one before it.
	windows, outputs []int32
	masks            []uint8
	groupWeights     []uint32
}

const (
	group  = 8
	window = 16
)

// NewAcross returns the pass for rows of in pixels. Every window, of taps pixels from its start,
// must be inside the row.
func NewAcross(in, taps int, starts []int32, weights []uint32) *Across {
	a := &Across{in: in, taps: taps, starts: starts, weights: weights}
	if hasAVX2 && len(starts) >= group && in >= window {
		a.prepareGroups()
	}
	return a
}

// prepareGroups computes the tables for groups of eight outputs, unless the windows are too wide.
func (a *Across) prepareGroups() {
	out := len(a.starts)
	groups := (out + group - 1) / group
	windows, outputs := make([]int32, 0, 2*groups), make([]int32, 0, groups)
	masks, groupWeights := make([]uint8, groups*a.taps*32), make([]uint32, groups*a.taps*group)
	for g := range groups {
		first := min(g*group, out-group)
		outputs = append(outputs, int32(first))
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
					groupWeights[(g*a.taps+t)*group+4*half+j] = a.weights[o*a.taps+t]
					m := masks[(g*a.taps+t)*32+16*half+4*j:][:4]
					m[0], m[1], m[2], m[3] = uint8(off+t), 0x80, 0x80, 0x80
				}
			}
		}
	}
	a.windows, a.outputs, a.masks, a.groupWeights = windows, outputs, masks, groupWeights
}

// Rows resizes h rows of src, which are srcStride apart, to rows of dst, which are dstStride
// apart.
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
			&a.windows[0], &a.masks[0], &a.groupWeights[0], len(a.outputs), a.taps, &a.outputs[0])
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

package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// bf16Columns is the order in which the columns of a line of the input are
// rearranged: such that those of neighbouring outputs are neighbours, whatever the
// stride.
type bf16Columns struct {
	columns []int
	begin   []int // by column of the filter: which of them belongs to column 0 of the output
	lo, hi  []int // and the columns of the output that it reaches: the first, and the one behind the last
}

func newBF16Columns(win engine.Window, w, ow int) (h bf16Columns) {
	at := map[int]int{} // remainder by the stride → where its columns begin
	for kx := range win.KW {
		off := kx*win.DilationW - win.PadW
		first := (off%win.StrideW + win.StrideW) % win.StrideW
		if _, ok := at[first]; !ok {
			at[first] = len(h.columns)
			for x := first; x < w; x += win.StrideW {
				h.columns = append(h.columns, x)
			}
		}
		h.begin = append(h.begin, at[first]+(off-first)/win.StrideW)
		lo := 0
		for lo < ow && lo*win.StrideW+off < 0 {
			lo++
		}
		hi := lo
		for hi < ow && hi*win.StrideW+off < w {
			hi++
		}
		h.lo, h.hi = append(h.lo, lo), append(h.hi, hi)
	}
	return h
}

// offsets lists where the columns of so many images are in a line, each padded to
// some with nothing, which is negative.
func (h *bf16Columns) offsets(images, padded, batch, channels int) (offs []int) {
	for _, x := range h.columns {
		for i := range padded {
			at := -1
			if i < images {
				at = (x*batch + i) * channels
			}
			offs = append(offs, at)
		}
	}
	for len(offs) < 32 {
		offs = append(offs, -1) // Transpose works on squares, and there is room
	}
	return offs
}

// bf16Few makes channels of the columns of a filter, for inputs of too few to be
// multiplied tap by tap: once for each column of the filter, what it takes from the
// line, and zero where that is outside the picture.
type bf16Few struct {
	from     bf16Columns
	channels int // of the input
	row      int // elements of a line from one channel to the next
}

// room returns how many elements a rearranged line of the input takes.
func (f *bf16Few) room() int {
	if f == nil {
		return 0
	}
	return max(f.channels, squareLanes) * f.row
}

// squareLanes is how many channels are transposed together.
const squareLanes = 16

// pack rearranges a line of the input, which begins x, for outputs of some width.
func (f *bf16Few) pack(bf16 *kernel.BF16, to, x, area []uint16, chunk imageChunk, row, width, padded int) {
	channels := f.channels
	if chunk.reach+squareLanes <= len(x) {
		channels = squareLanes // and of the next pixels, which is faster
	}
	bf16.Transpose(area, x, chunk.offs, channels, f.row)
	for kx, at := range f.from.begin {
		lo, hi := f.from.lo[kx], f.from.hi[kx]
		for c := range f.channels {
			line := to[(kx*f.channels+c)*row:][:width*padded]
			clear(line[:lo*padded])
			if lo < hi {
				copy(line[lo*padded:hi*padded], area[c*f.row+(at+lo)*padded:])
			}
			clear(line[hi*padded:])
		}
	}
}

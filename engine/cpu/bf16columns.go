package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// bf16Columns is an order of the columns of an input line in which the columns that
// one tap reads for neighbouring outputs are neighbours too, whatever the stride.
type bf16Columns struct {
	columns []int
	begin   []int // for each column of the filter, the index in columns of what output column 0 reads
	lo, hi  []int // for each column of the filter, the output columns lo <= x < hi that it reaches
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

// offsets lists the offset of every column of every image in a line. Each column has
// padded entries, of which those beyond images are -1.
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

// bf16Few turns the columns of a filter into channels, for inputs with too few channels
// to be multiplied tap by tap. A rearranged line has, for each column of the filter, the
// pixels that the column reads, and zero where those are outside the image.
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

// pack rearranges the line of the input at the beginning of x for an output of the
// given width.
func (f *bf16Few) pack(bf16 *kernel.BF16, to, x, area []uint16, chunk imageChunk, row, width, padded int) {
	channels := f.channels
	if chunk.reach+squareLanes <= len(x) {
		channels = squareLanes // some belong to the next pixel; a full square is faster
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

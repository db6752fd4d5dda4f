package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// bf16Product is product for a source in bfloat16. Sums are float32. Where the
// destination is bfloat16 too, they are rounded while they are in registers, if the kernel
// can do that; otherwise they are first written to a block of float32. Where the destination
// is float32, as for linear layers, they are written there directly.
type bf16Product struct {
	set     *kernel.Set
	bf16    *kernel.BF16
	groups  int
	k, n    int // channels of a group: of the source, of the destination
	taps    int
	src     []uint16
	dst     activation
	base    activation // added to the result; may be empty
	after   *epilogue
	reduce  *normReduce // of a batch norm before the convolution whose input's gradient this is, or nil
	reduces bool        // there will be such a reduction
	areas   *areas

	// patches says that the inputs of all taps are gathered and multiplied as one row
	// (im2col). It is used where the channels are too few, or odd in number, to be
	// multiplied tap by tap, and strips do not apply.
	patches bool
	threads int
	sum     int // terms of one product: k, or the length of a row of patches
	chunks  []chunk
	lines   *padded // the padded copy of a single image, or nil
	rows    *rowTable
	strips  *strips // how the first convolution of a network is computed, or nil
	offs    [][]int // for patches: where each tap of a chunk begins, or -1

	panels   int // per group
	together int // panels that one task computes
	packed   func() memory
	work     func(task, thread int)
}

// rowTable lists, for every tap of a filter and every row of the result, where the inputs
// are. In a small batch, pixels at the border have other taps than their neighbours, and with
// a stride the sources of neighbouring lines do not follow each other. With a table all
// pixels are rows of one product, whose weights are read once: inputs outside the image are
// zeros.
type rowTable struct {
	at    []*uint16 // [taps][count]
	count int
}

// strips are how a convolution of few channels is computed, such as the first of a network.
// In a line of one image, all inputs of a row of the filter follow each other, so a row is one
// segment of a product, whose rows are neighbouring outputs. A task copies the lines of one
// image that some lines of the result need, with zeros at their sides, and multiplies them
// where they are: there is no copy for every tap. In a batch it does so for several images,
// and the rows are the same output of each.
type strips struct {
	set               *kernel.Set
	win               engine.Window
	images, c, h, w   int
	oh, ow            int
	lines, count      int // lines of the result in one strip; strips of an image
	mostInput, width  int // lines of the input in a strip at most; elements of each
	segs              [][]kernel.Seg
	firstLine, inputs []int // of the input, for each strip
	groups, together  int   // groups of images; images in one at most
	frame             int   // elements from the lines of an image to those of the next
	pixels            []int // of an input line of one channel, in elements
}

// tapSize is how many elements of a panel belong to one tap. With patches it is 1, so
// that the offsets of segments are the numbers of taps.
func (p *bf16Product) tapSize() int {
	if p.patches {
		return 1
	}
	return p.k * p.bf16.Cols
}

func (p *bf16Product) panelSize() int {
	switch {
	case p.strips != nil:
		return p.strips.win.KH * p.strips.panelRows() * p.bf16.Cols
	case p.patches:
		return p.sum * p.bf16.Cols
	}
	return p.taps * p.sum * p.bf16.Cols
}

// panelRows returns how many rows of a panel belong to a row of the filter.
func (t *strips) panelRows() int { return ceil(t.win.KW*t.c, 2) * 2 }

func (p *bf16Product) tasks() int {
	if p.strips != nil {
		return p.strips.count * p.strips.groups
	}
	return p.groups * ceil(p.panels, p.together) * len(p.chunks)
}

// cut chooses how many panels one task computes, and returns how many rows at most. The
// source has about so many elements. Where the weights are larger than that, each is read
// for as many rows as possible, by one thread.
func (p *bf16Product) cut(rows, source int) (most int) {
	tasks := 4 * p.threads
	weights := p.groups * p.panels * p.panelSize()
	if weights >= source && p.groups*p.panels >= 2*p.threads {
		p.together = max(1, min(p.together, p.groups*p.panels/tasks))
		return chunkRows
	}
	sets := ceil(p.panels, p.together)
	p.together = ceil(p.panels, sets) // sets of about one size
	if p.sums() {
		return chunkRows
	}
	pieces := ceil(tasks, p.groups*sets)
	return max(min(chunkRows, ceil(rows, pieces)), p.bf16.Rows)
}

// rounds reports whether sums are rounded to bfloat16 while they are in registers.
func (p *bf16Product) rounds() bool { return p.dst.bf16 != nil && p.finishes() }

// finishes reports whether the kernels can finish and round sums while they are in registers.
func (p *bf16Product) finishes() bool { return p.bf16.DotRound != nil }

// sums reports whether the columns of the result are summed, for a batch norm. The sums of a
// chunk are one part, so that chunks must depend only on the layer.
func (p *bf16Product) sums() bool { return p.reduces || p.after != nil && p.after.stats != nil }

// fits reports whether that can be done with a panel of n columns.
func (p *bf16Product) fits(n int) bool { return n == p.bf16.Cols || n <= p.bf16.RoundNarrow }

// drain returns the operands that finish the sums of the columns from lo on, at element to
// of the result.
func (p *bf16Product) drain(to, lo int) kernel.Finish {
	if p.after == nil {
		return kernel.Finish{Res: p.base.at(to).bf16}
	}
	return kernel.Finish{Scale: from(p.after.scale, lo), Shift: from(p.after.shift, lo), Res: p.after.residual.at(to).bf16, ReLU: p.after.relu}
}

// bf16Fetches says what is prefetched into the cache while a chunk is multiplied.
type bf16Fetches struct {
	early int // rows of every panel during which the result's lines are fetched
	steps int // steps of the other rows, during which next is fetched
	next  bf16Prefetch
}

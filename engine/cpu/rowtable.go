package cpu

import "github.com/residual-ml/residual/engine"

// mostRowTable is the most entries of the table for several images, and mostRowSource the most
// elements of these images where a filter has several taps. What is larger does not stay in
// the cache beside the weights; runs of pixels then read a smaller part of it at a time.
const (
	mostRowTable  = 1 << 15
	mostRowSource = 1 << 18
)

// byRows makes p compute by a table of rows, where that costs less than runs of pixels with
// the same taps, and reports whether it does.
func (b *binder) byRows(p *bf16Product, s *engine.Conv) bool {
	n, c, h, w := s.X.Dims()
	_, _, oh, ow := s.Y.Dims()
	rows := n * oh * ow
	if !b.Static || p.sums() || p.patches || p.strips != nil || !p.rounds() || p.n%p.bf16.Cols != 0 {
		return false
	}
	if n > 1 && (p.taps*rows > mostRowTable || p.taps > 1 && n*h*w*c > mostRowSource) {
		return false
	}
	cost := 0
	for _, k := range p.chunks {
		cost += len(k.segs) * p.rowCost(k.rows)
	}
	if cost <= p.taps*p.rowCost(rows) {
		return false
	}
	t := &rowTable{at: make([]*uint16, p.taps*rows), count: rows}
	b.private += 2 * len(t.at) // addresses have 8 bytes
	zeros := b.zeros(c)
	for i := range t.at {
		t.at[i] = &zeros[0]
	}
	for y := range oh {
		for x := range ow {
			for _, tap := range forwardTaps(s.Window, h, w, y, x) {
				for image := range n {
					t.at[tap.index*rows+(y*ow+x)*n+image] = &p.src[(tap.source*n+image)*c]
				}
			}
		}
	}
	most := p.cut(rows, n*h*w*c)
	p.chunks = nil
	for i, pieces := 0, ceil(rows, most); i < pieces; i++ {
		lo, hi := rows*i/pieces, rows*(i+1)/pieces
		p.chunks = append(p.chunks, chunk{row: lo, rows: hi - lo})
	}
	p.rows, p.work = t, p.rowTask
	return true
}

// rowCost is about what one tap of so many rows costs, in rows: every register block of
// them reads the weights of the tap.
func (p *bf16Product) rowCost(rows int) int { return rows + 2*ceil(rows, p.bf16.Rows) }

// zeros returns zeros in the place of n elements outside an image. Nothing writes to them.
func (b *binder) zeros(n int) []uint16 {
	if len(b.outside) < n {
		b.outside = make([]uint16, n)
		b.private += ceil(n, 2)
	}
	return b.outside
}

// rowTask is task with a table of rows.
func (p *bf16Product) rowTask(i, _ int) {
	at := i % len(p.chunks)
	c := &p.chunks[at]
	sets := ceil(p.panels, p.together)
	g, first := i/len(p.chunks)/sets, i/len(p.chunks)%sets*p.together
	packed, size := p.packed().bf16(), p.panelSize()
	channels := p.groups * p.n
	for q := first; q < min(first+p.together, p.panels); q++ {
		lo := g*p.n + q*p.bf16.Cols
		to := c.row*channels + lo
		panel := g*p.panels + q
		var next []uint16 // the panel that this thread probably computes next
		if following := panel + p.together; len(p.chunks) == 1 && following*size < len(packed) {
			next = packed[following*size:]
		}
		pace := ceil(4*p.bf16.Cols, ceil(c.rows, p.bf16.Rows))
		p.bf16.DotRows(p.dst.bf16[to:], channels, p.rows.at[c.row:], p.rows.count, g*p.k, packed[panel*size:],
			p.taps, p.k, c.rows, p.bf16.Cols, p.drain(to, lo), next, pace)
	}
}

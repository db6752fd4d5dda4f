package cpu

import "github.com/residual-ml/residual/engine/cpu/kernel"

// columnSums is the number of rows of sums that a kernel updates for a batch norm, at most.
const columnSums = 3

// sumArea is the end of a work area, which has the sums of the columns of a panel.
func (p *bf16Product) sumArea(area memory) []float32 { return area[len(area)-columnSums*p.bf16.Cols:] }

// inRegisters computes n columns of a chunk, from lo on, of sums that are rounded in
// registers.
func (p *bf16Product) inRegisters(at, lo, n int, a []uint16, ars int, panel []uint16, segs []kernel.Seg, f *bf16Fetches, area memory) {
	c, channels := &p.chunks[at], p.groups*p.n
	from, pace := f.next.take(f.steps)
	to := c.row*channels + lo
	y := p.dst.bf16[to:]
	sums := p.sumArea(area)
	switch {
	case p.reduce != nil:
		clear(sums)
		k := p.sum
		if c.parted != nil {
			segs, k = c.parted, k*len(segs)/len(c.parted)
		}
		p.bf16.DotReduce(y, channels, a, ars, panel, segs, k, c.rows, n, p.reduce.operands(p.base, to, lo), sums, from, pace)
		p.reduce.add(at, lo, n, sums, p.bf16.Cols)
	case p.sums():
		p.bf16.DotStats(y, channels, a, ars, panel, segs, p.sum, c.rows, n, p.shift(lo), sums, true, from, pace)
		p.after.stats.add(at, lo, n, sums, p.bf16.Cols, p.shift(lo))
	default:
		p.bf16.DotRound(y, channels, a, ars, panel, segs, p.sum, c.rows, n, p.drain(to, lo), from, pace)
	}
}

// part gives the chunks of a gradient that is reduced enough segments for DotReduce.
func (p *bf16Product) part() {
	const enough = 4
	if p.patches {
		return
	}
	parted := map[*kernel.Seg][]kernel.Seg{}
	for i := range p.chunks {
		c := &p.chunks[i]
		if len(c.segs) == 0 || len(c.segs) >= enough || p.k%(2*enough) != 0 {
			continue
		}
		if parted[&c.segs[0]] == nil {
			parts := 2 // of a segment
			if len(c.segs) == 1 {
				parts = enough
			}
			var all []kernel.Seg
			for _, s := range c.segs {
				for i := range parts {
					at := p.k * i / parts
					all = append(all, kernel.Seg{A: s.A + at, B: s.B + at*p.bf16.Cols})
				}
			}
			parted[&c.segs[0]] = all
		}
		c.parted = parted[&c.segs[0]]
	}
}

// shift returns what is added to the columns from lo on, or nil.
func (p *bf16Product) shift(lo int) []float32 {
	if p.after == nil {
		return nil
	}
	return from(p.after.shift, lo)
}

// operands returns what a kernel needs besides the sums of a gradient: base is to be added
// to the result, of which the first element is to, in the columns from lo on.
func (r *normReduce) operands(base activation, to, lo int) kernel.Reduction {
	return kernel.Reduction{Res: base.at(to).bf16, Gate: r.mask.at(to).bf16, X: r.x.at(to).bf16, Mean: r.stats[lo:]}
}

// add adds n columns of what a kernel has summed, from column lo on, to a part. No other call
// may add the same columns to it.
func (r *normReduce) add(part, lo, n int, sums []float32, width int) {
	copy(r.dys.block(part)[lo:lo+n], sums)
	copy(r.dyx.block(part)[lo:lo+n], sums[width:])
}

// add sets n columns of a part, from column lo on, to the moments of what a kernel has
// summed: differences from pivots and their squares.
func (m *moments) add(part, lo, n int, sums []float32, width int, shift []float32) {
	at, rows := part*m.channels+lo, float32(m.rows[part])
	mean, m2 := m.mean[at:at+n], m.m2[at:at+n]
	pivots, sum, squares := sums[:n], sums[width:][:n], sums[2*width:][:n]
	for c, pivot := range pivots {
		d := sum[c] / rows
		mean[c] = pivot + d
		m2[c] = max(0, squares[c]-float32(d*sum[c]))
	}
	for c, v := range shift[:min(n, len(shift))] {
		mean[c] += v
	}
}

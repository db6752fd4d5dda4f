package cpu

import "github.com/residual-ml/residual/engine/cpu/kernel"

// moments holds, per channel, the mean and the sum of squared differences from it for
// every part of an activation, until combine merges the parts.
type moments struct {
	channels int
	rows     []int  // of each part
	growing  bool   // a part arrives in several pieces, not in one
	mean, m2 memory // [part][channel]
	piece    memory // [part][2][channel]: mean and m2 of the latest piece, when growing
	mu, s    []float64
}

// initMoments allocates the moments of len(rows) parts. rows has the number of rows of
// each part, or zeros where growing is set.
func (b *binder) initMoments(m *moments, rows []int, growing bool) {
	n := len(rows) * m.channels
	m.rows, m.growing = rows, growing
	m.mean, m.m2 = alloc(n), alloc(n)
	m.mu, m.s = make([]float64, m.channels), make([]float64, m.channels)
	b.private += 2*n + 4*m.channels
	if growing {
		m.piece = alloc(2 * n)
		b.private += 2 * n
	}
}

// take adds a block of rows by n columns, from column lo on, to a part. A growing part
// must be filled by one task, with all columns at once. Rows of the block lie ld
// elements apart.
func (m *moments) take(set *kernel.Set, part int, block activation, ld, rows, lo, n int) {
	at := part*m.channels + lo
	mean, m2 := m.mean[at:at+n], m.m2[at:at+n]
	if !m.growing || m.rows[part] == 0 {
		meanM2(set, mean, m2, block, rows, n, ld)
	} else {
		piece := m.piece[2*part*m.channels:]
		pm, p2 := piece[:n], piece[n:2*n]
		meanM2(set, pm, p2, block, rows, n, ld)
		merge(mean, m2, m.rows[part], pm, p2, rows)
	}
	if m.growing {
		m.rows[part] += rows
	}
}

// move adds to the means of columns from lo on. The part must not be a growing one.
func (m *moments) move(part, lo int, by []float32) {
	mean := m.mean[part*m.channels+lo:]
	for c, v := range by {
		mean[c] += v
	}
}

// merge adds the moments of b rows to those of a rows by the formula that combine names.
func merge(mean, m2 []float32, a int, bMean, bM2 []float32, b int) {
	share := float32(b) / float32(a+b)
	cross := float32(a) * share
	for c, v := range bMean {
		d := v - mean[c]
		mean[c] += float32(d * share)
		m2[c] += bM2[c] + float32(float32(d*d)*cross)
	}
}

// combine merges the parts in their order and writes mean and biased variance,
// [2, C], to stats (Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise
// algorithm for computing sample variances", equation 2.1).
func (m *moments) combine(stats memory) {
	count := 0.0
	clear(m.mu)
	clear(m.s)
	for b, rows := range m.rows {
		add := float64(rows)
		total := count + add
		share, cross := add/total, count*add/total
		mean, m2 := m.mean[b*m.channels:(b+1)*m.channels], m.m2[b*m.channels:(b+1)*m.channels]
		for c := range m.channels {
			d := float64(mean[c]) - m.mu[c]
			m.mu[c] += float64(d * share)
			m.s[c] += float64(m2[c]) + float64(float64(d*d)*cross)
		}
		count = total
	}
	for c := range m.channels {
		stats[c] = float32(m.mu[c])
		stats[m.channels+c] = float32(m.s[c] / count)
	}
	if m.growing {
		clear(m.rows)
	}
}

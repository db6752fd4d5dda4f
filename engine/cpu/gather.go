package cpu

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// tap is one term of a destination pixel: the source pixel that it reads and the
// element of the filter, index, that multiplies it.
type tap struct{ source, index int }

// run is a sequence of count neighbouring destination pixels that have the same filter
// elements. From one pixel to the next, all source pixels advance by step.
type run struct {
	pixel, count, step int
	taps               []tap
}

// forwardTaps lists the taps of output pixel (y, x) of a convolution.
func forwardTaps(w engine.Window, inH, inW, y, x int) []tap {
	taps := make([]tap, 0, w.KH*w.KW)
	for i := range w.KH {
		sy := y*w.StrideH - w.PadH + i*w.DilationH
		for j := range w.KW {
			sx := x*w.StrideW - w.PadW + j*w.DilationW
			if sy >= 0 && sy < inH && sx >= 0 && sx < inW {
				taps = append(taps, tap{sy*inW + sx, i*w.KW + j})
			}
		}
	}
	return taps
}

// backwardTaps lists the output pixels that read input pixel (y, x).
func backwardTaps(w engine.Window, outH, outW, y, x int) []tap {
	var taps []tap
	for i := range w.KH {
		sy := y + w.PadH - i*w.DilationH
		for j := range w.KW {
			sx := x + w.PadW - j*w.DilationW
			if sy%w.StrideH != 0 || sx%w.StrideW != 0 {
				continue
			}
			oy, ox := sy/w.StrideH, sx/w.StrideW
			if sy >= 0 && sx >= 0 && oy < outH && ox < outW {
				taps = append(taps, tap{oy*outW + ox, i*w.KW + j})
			}
		}
	}
	return taps
}

// gather groups the pixels of an h by w destination into runs. With several images the
// source pixels of a run must be neighbours, so that all rows of the run follow each
// other in memory; with one image any fixed step between them will do.
func gather(h, w, batch int, taps func(y, x int) []tap) []run {
	var runs []run
	for y := range h {
		for x := range w {
			t := taps(y, x)
			if x > 0 {
				if last := &runs[len(runs)-1]; last.extend(t, batch) {
					continue
				}
			}
			runs = append(runs, run{pixel: y*w + x, count: 1, taps: t})
		}
	}
	return runs
}

// extend adds the next pixel, whose taps are t, if it continues the run.
func (r *run) extend(t []tap, batch int) bool {
	if len(t) != len(r.taps) {
		return false
	}
	if len(t) == 0 {
		r.count++
		return true
	}
	// ahead is the distance of the sources from those of the run's first pixel.
	ahead := t[0].source - r.taps[0].source
	step := ahead / r.count
	if step*r.count != ahead || batch > 1 && step != 1 || r.count > 1 && step != r.step {
		return false
	}
	for i := range t {
		if t[i].index != r.taps[i].index || t[i].source-r.taps[i].source != ahead {
			return false
		}
	}
	r.step = step
	r.count++
	return true
}

// chunk is a piece of a run that is small enough to stay in the cache until its
// epilogue is applied.
type chunk struct {
	row, rows int // rows of the destination, pixels times batch
	source    int // offset of the first row's sources from those of the run, in elements
	ars       int // elements between the sources of neighbouring rows
	segs      []kernel.Seg
	parted    []kernel.Seg // the same terms in more segments, or nil
	joined    joined
}

// joined says that every segment of a chunk stands for several taps, whose sources lie
// step elements apart. The zero value means one tap a segment.
type joined struct{ taps, step int }

// joinTaps makes one segment of all neighbouring taps in a row of the filter. It is for
// a single channel, where a tap has only one product and a segment for each would cost
// as much again. Weights of neighbouring taps lie panel elements apart.
func (c *chunk) joinTaps(panel int) {
	if len(c.segs) < 2 {
		return
	}
	step := c.segs[1].A - c.segs[0].A
	follows := func(i int) bool {
		return c.segs[i].A-c.segs[i-1].A == step && c.segs[i].B-c.segs[i-1].B == panel
	}
	taps := 1
	for taps < len(c.segs) && follows(taps) {
		taps++
	}
	if len(c.segs)%taps != 0 {
		return
	}
	var segs []kernel.Seg
	for i, s := range c.segs {
		switch {
		case i%taps == 0:
			segs = append(segs, s)
		case !follows(i):
			return
		}
	}
	c.segs, c.joined = segs, joined{taps, step}
}

// chunks cuts runs into chunks of at most most rows. srcC is the number of channels of
// the source, panel the number of elements of one tap's weights.
func chunks(runs []run, batch, srcC, panel, most int) []chunk {
	var out []chunk
	for _, r := range runs {
		segs := make([]kernel.Seg, len(r.taps))
		for i, t := range r.taps {
			segs[i] = kernel.Seg{A: t.source * batch * srcC, B: t.index * panel}
		}
		ars := srcC
		if batch == 1 && r.count > 1 {
			ars = r.step * srcC
		}
		total := r.count * batch
		pieces := ceil(total, most)
		for i := range pieces {
			lo, hi := total*i/pieces, total*(i+1)/pieces
			out = append(out, chunk{row: r.pixel*batch + lo, rows: hi - lo, source: lo * ars, ars: ars, segs: segs})
		}
	}
	return out
}

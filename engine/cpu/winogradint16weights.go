package cpu

import "github.com/residual-ml/residual/engine/cpu/kernel"

// panel16 is a panel of transformed weights, and the factors that belong to its columns.
type panel16 struct {
	integers []int16   // [point][pair of channels][column][2]
	scales   []float32 // [point][chunk of channels][column]
}

// chunks is the number of sums in int32 that make up a sum over all channels.
func (w *winograd16) chunks() int { return ceil(w.depth, w.together()) }

// together is the number of channels whose products are summed in int32.
func (w *winograd16) together() int {
	if w.signed {
		return kernel.SignedTileChannels
	}
	return kernel.TileChannels
}

// panelSize is the number of integers in the packed weights of a panel, and scaleSize that
// of the factors that belong to them.
func (w *winograd16) panelSize() int { return w.f.points() * w.depth * w.k.Cols }
func (w *winograd16) scaleSize() int { return w.f.points() * w.chunks() * w.k.Cols }

// packedSize is the number of float32 that a panel and its factors take, and partSize that of
// the weights of a point and a chunk of channels with their factors.
func (w *winograd16) packedSize() int { return ceil(w.panelSize(), 2) + w.scaleSize() }
func (w *winograd16) partSize() int   { return (w.together()/2 + 1) * w.k.Cols }

// filterTaps is the number of weights of a filter.
const filterTaps = 9

// packingSize is the number of float32 that packing a panel needs.
func (w *winograd16) packingSize() int {
	return (filterTaps+w.f.points())*w.together()*w.k.Cols + kernel.MixScratch
}

// panelOf returns a panel of packed weights.
func (w *winograd16) panelOf(q int) panel16 {
	n := w.packedSize()
	return w.panelIn(w.packed()[q*n:][:n])
}

func (w *winograd16) panelIn(m memory) panel16 {
	n := ceil(w.panelSize(), 2)
	return panel16{m[:n].int16s(), m[n:]}
}

// packWinograd16 binds the packing of the weights. It returns the function that packs all of
// them, which may be nil, and how many elements of borrowed scratch they take.
func (b *binder) packWinograd16(w *winograd16, weight weights) (prepare func(), borrowed int) {
	weight.bf16 = true
	w.weights, w.filter = weight, w.f.filter
	if weight.backward {
		w.filter = w.f.flipped
	}
	w.quantise = w.k.Tiles.Quantise
	if w.signed {
		w.quantise = w.k.Tiles.SignedQuantise
	}
	if !b.keeps(weight.value) && w.once(b.pool.threads) {
		return nil, 0
	}
	n := ceil(w.panels*w.packedSize(), 16) * 16
	if !b.keeps(weight.value) {
		borrowed = n
	}
	w.packed, prepare = b.packing(weight, w.f.m, n, w.panels, func(packed memory, q, thread int) {
		w.pack(w.panelIn(packed[q*w.packedSize():][:w.packedSize()]), q, b.areas.of(thread))
	})
	b.areas.need(w.packingSize())
	return prepare, borrowed
}

// once reports whether every panel is multiplied only once. Then a task packs its weights just
// before they are multiplied, part by part: those of many channels would not stay in the cache
// until all of them are packed.
func (w *winograd16) once(threads int) bool { return len(w.groups) == 1 && w.apart(threads) }

// pack transforms the weights of panel q and rounds them to integers.
func (w *winograd16) pack(to panel16, q int, area memory) {
	cols := w.k.Cols
	w.transformWeights(q, area, func(p, from int, values []float32, channels int) {
		w.quantise(w.f.m, p, to.integers[(p*w.depth+from)*cols:], to.scales[(p*w.chunks()+from/w.together())*cols:], values, channels)
	})
}

// multiplyParts is multiply for weights that are not packed. The sums of a point have the same
// order.
func (w *winograd16) multiplyParts(g tileGroup, q int, v []int16, products, area memory) {
	cols, n, last := w.k.Cols, w.columns(q), (w.chunks()-1)*w.together()
	scales, rest := area[:cols], area[cols:]
	integers, area := rest[:w.together()/2*cols].int16s(), rest[w.together()/2*cols:]
	w.transformWeights(q, area, func(p, from int, values []float32, channels int) {
		w.quantise(w.f.m, p, integers, scales, values, channels)
		if from == last {
			w.fetchResults(g, p, q)
		}
		w.k.Dot(products[p*w.productStep():], w.pitch, v[p*w.inputStep()+from:], w.depth, integers, scales, channels, g.rows(), n, from > 0)
	})
}

// transformWeights transforms the weights of panel q. It calls do for each chunk of input
// channels and each point, with an even number of channels from one on.
func (w *winograd16) transformWeights(q int, area memory, do func(point, from int, values []float32, channels int)) {
	cols, points, most := w.k.Cols, w.f.points(), w.together()
	plain, rest := area[:filterTaps*most*cols], area[filterTaps*most*cols:]
	u, scratch := rest[:points*most*cols], rest[points*most*cols:]
	for from := 0; from < w.src.channels; from += most {
		channels := min(most, w.src.channels-from)
		even := (channels + 1) &^ 1
		w.weights.fill(plain, 0, q, from, from+channels)
		w.k.Tiles.Filter(w.filter, u, plain, w.f.t*even*cols, even*cols, 3*channels*cols, channels*cols, channels*cols,
			0, 3, 0, 3, w.f.t, w.f.t, scratch)
		for p := range points {
			values := u[p*even*cols:][:even*cols]
			clear(values[channels*cols:])
			if p < filterTaps {
				w.fetchWeights(p, q, from+most)
			}
			do(p, from, values, even)
		}
	}
}

// fetchWeights prefetches the weights of a tap for the input channels from one on, or, if
// there are none, for the first ones and the next panel.
func (w *winograd16) fetchWeights(tap, q, from int) {
	if from >= w.src.channels {
		q, from = q+1, 0
	}
	if q < w.panels {
		w.weights.fetch(tap, q, from, min(from+w.together(), w.src.channels))
	}
}

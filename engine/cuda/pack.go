//go:build cuda

package cuda

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
)

// packed is the kernels' Packed.
type packed struct {
	from, to driver.Pointer
	n, block int32
}

// roundings are the weights that a program has in bfloat16 of its own.
type roundings struct {
	of     map[*engine.Value]*buffer
	list   []packed
	blocks int
}

// pack launches the rounding of weights.
func (b *binder) pack(list []packed, blocks int) {
	b.launch("pack", grid{blocks, 1, 1, blockSize}, len(list), table(b, list))
}

// add lists a weight to be rounded.
func (p *roundings) add(from, to *buffer) {
	p.list = append(p.list, packed{from.at, to.at, int32(from.words), int32(p.blocks)})
	p.blocks += blocksOf(from.words / 8) // a thread rounds 8
}

// weight returns w in bfloat16, in the order of its elements, whose number is a multiple
// of 8. That of a variable is rounded before the steps and kept; any other goes to scratch,
// from its beginning on, of which words are then taken.
func (b *binder) weight(w *engine.Value) (to *buffer, words int) {
	from := b.at(w)
	if w.Root().Place == engine.Persistent {
		if b.rounded.of[w.Root()] == nil {
			b.rounded.of[w.Root()] = b.own(from.words / 2)
			b.rounded.add(from, b.rounded.of[w.Root()])
		}
		return b.rounded.of[w.Root()], 0
	}
	to = b.borrow(0, from.words/2)
	var one roundings
	one.add(from, to)
	b.pack(one.list, one.blocks)
	return to, roundUp(to.words, alignment/4) // what follows begins where memory does
}

// own is memory of the program's.
func (b *binder) own(words int) *buffer {
	if b.scratch == nil {
		return &buffer{words: words}
	}
	m := b.d.alloc(words)
	b.prog.own += words
	b.prog.keep = append(b.prog.keep, m)
	return m
}

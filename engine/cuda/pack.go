//go:build cuda

package cuda

import (
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
)

// packed is struct Packed of the kernels.
type packed struct {
	from, to driver.Pointer
	n, block int32
}

// roundings are the weights of which a program has copies in bfloat16.
type roundings struct {
	of     map[*engine.Value]*buffer
	list   []packed
	blocks int
}

// pack launches the kernel that rounds weights to bfloat16.
func (b *binder) pack(list []packed, blocks int) {
	b.launch("pack", grid{blocks, 1, 1, blockSize}, len(list), table(b, list))
}

// add adds a weight to the list.
func (p *roundings) add(from, to *buffer) {
	p.list = append(p.list, packed{from.at, to.at, int32(from.words), int32(p.blocks)})
	p.blocks += blocksOf(from.words / 8) // a thread rounds 8
}

// weight returns w in bfloat16, in the same order. The number of its elements must be a
// multiple of 8. A variable is rounded before the steps, into memory of the program. Any
// other value is rounded into scratch, of which the first words are then in use.
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
	return to, roundUp(to.words, alignment/4) // what follows in scratch is aligned
}

// own allocates memory that belongs to the program.
func (b *binder) own(words int) *buffer {
	if b.scratch == nil {
		return &buffer{words: words}
	}
	m := b.d.alloc(words)
	b.exe.own += words
	b.exe.keep = append(b.exe.keep, m)
	return m
}

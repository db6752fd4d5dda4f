package transforms

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
)

// Random is a transform that draws lots. Draw draws them all and returns what they
// decided for this picture, a transform that draws none; Apply is Draw and then that.
type Random interface {
	Transform
	Draw(m Image, r rand.Source) Transform
}

// Lots is the source of what one picture, or one batch, draws in one epoch. It is
// ChaCha8 keyed by the seed of the training, the epoch and the picture's index in the
// data set, and by nothing else: whichever goroutine prepares the picture, in whatever
// order, draws the same, and a training that goes on from a saved epoch needs no state.
// A loader keeps one Lots a goroutine and calls Picture before each picture.
type Lots struct{ chacha rand.ChaCha8 }

// Picture begins the lots of a picture.
func (l *Lots) Picture(seed uint64, epoch, index int) { l.begin(seed, epoch, index, "picture.") }

// Batch begins the lots of a whole batch, counted from 0 in its epoch: those of Mixup
// and CutMix. No picture shares them.
func (l *Lots) Batch(seed uint64, epoch, batch int) { l.begin(seed, epoch, batch, "batch...") }

func (l *Lots) begin(seed uint64, epoch, index int, kind string) {
	if epoch < 0 || index < 0 {
		panic(fmt.Sprintf("transforms.Lots: epoch %d, index %d", epoch, index))
	}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], seed)
	binary.LittleEndian.PutUint64(key[8:], uint64(epoch))
	binary.LittleEndian.PutUint64(key[16:], uint64(index))
	copy(key[24:], kind)
	l.chacha.Seed(key)
}

// Uint64 implements rand.Source.
func (l *Lots) Uint64() uint64 { return l.chacha.Uint64() }

// intn returns a number in 0..n-1; its bias, below n/2^64, is of no account here.
func intn(r rand.Source, n int) int {
	hi, _ := bits.Mul64(r.Uint64(), uint64(n))
	return int(hi)
}

// between returns a number in [lo, hi).
func between(r rand.Source, lo, hi float64) float64 {
	unit := float64(r.Uint64()>>11) / (1 << 53)
	return lo + float64((hi-lo)*unit)
}

// chance is true with probability p.
func chance(r rand.Source, p float64) bool { return between(r, 0, 1) < p }

// orDefault is v, or what stands for its zero value.
func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

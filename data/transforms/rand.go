package transforms

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/residual-ml/residual/tensor"
)

// Random is a transform that uses random numbers. Draw takes them all from r and returns
// the transform they decide on for this image, which uses none; Apply is Draw and then that.
type Random interface {
	Transform
	Draw(m Image, r rand.Source) Transform
}

// Rand is the random generator for one image, or one batch, in one epoch: ChaCha8 keyed by
// the seed of the training, the epoch and the index of the image in the data set. Its
// numbers depend on nothing else, so they are the same for any number of goroutines in any
// order, and a training that is resumed at an epoch needs no saved state. A loader keeps one
// Rand a goroutine and calls Image before each image.
type Rand struct{ chacha rand.ChaCha8 }

// Image starts the random numbers of an image.
func (l *Rand) Image(seed uint64, epoch, index int) { l.begin(seed, epoch, index, "picture.") }

// Batch starts the random numbers of a batch, counted from 0 in its epoch: those of Mixup
// and CutMix. They differ from those of every image.
func (l *Rand) Batch(seed uint64, epoch, batch int) { l.begin(seed, epoch, batch, "batch...") }

func (l *Rand) begin(seed uint64, epoch, index int, kind string) {
	if epoch < 0 || index < 0 {
		panic(tensor.Misusef("transforms.Rand: epoch %d, index %d", epoch, index))
	}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], seed)
	binary.LittleEndian.PutUint64(key[8:], uint64(epoch))
	binary.LittleEndian.PutUint64(key[16:], uint64(index))
	copy(key[24:], kind)
	l.chacha.Seed(key)
}

// Uint64 implements rand.Source.
func (l *Rand) Uint64() uint64 { return l.chacha.Uint64() }

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

package transforms

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/residual-ml/residual/tensor"
)

// Random is a transform that uses random numbers. Draw takes all of them from r and returns
// the resulting transform for this image, which uses none. Apply draws and then applies it.
type Random interface {
	Transform
	Draw(m Image, r rand.Source) Transform
}

// Rand is the random generator for one image, or one batch, in one epoch: ChaCha8 keyed by
// the seed of the training, the epoch and the index of the image in the data set. Its
// numbers depend on nothing else, so they are the same for any number of goroutines, and a
// training can resume at an epoch without a saved state. A loader has one Rand for each
// batch buffer and calls Image before each image.
type Rand struct{ chacha rand.ChaCha8 }

// Image starts the random numbers of one image.
func (r *Rand) Image(seed uint64, epoch, index int) { r.begin(seed, epoch, index, "picture.") }

// Batch starts the random numbers of one batch, for Mixup and CutMix. Batches are counted
// from 0 in each epoch. The numbers differ from those of every image.
func (r *Rand) Batch(seed uint64, epoch, batch int) { r.begin(seed, epoch, batch, "batch...") }

// begin keys the generator. kind is a part of the key and has 8 bytes; it must never change,
// since the random numbers depend on it.
func (r *Rand) begin(seed uint64, epoch, index int, kind string) {
	if epoch < 0 || index < 0 {
		panic(tensor.Misusef("transforms.Rand: epoch %d, index %d", epoch, index))
	}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], seed)
	binary.LittleEndian.PutUint64(key[8:], uint64(epoch))
	binary.LittleEndian.PutUint64(key[16:], uint64(index))
	copy(key[24:], kind)
	r.chacha.Seed(key)
}

// Uint64 implements rand.Source.
func (r *Rand) Uint64() uint64 { return r.chacha.Uint64() }

// intn returns a number in 0..n-1. Its bias is below n/2^64, which does not matter here.
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

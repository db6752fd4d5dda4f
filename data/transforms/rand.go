package transforms

import (
	"math/rand/v2"

	"github.com/residual-ml/residual/internal/rng"
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
type Rand struct {
	stream      rng.Stream
	seed        uint64
	epoch, item int
}

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
	r.stream.Seed(seed, uint64(epoch), uint64(index), kind)
	r.seed, r.epoch, r.item = seed, epoch, index
}

// Uint64 implements rand.Source.
func (r *Rand) Uint64() uint64 { return r.stream.Uint64() }

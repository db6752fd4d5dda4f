package transforms

import (
	"math/rand/v2"

	"github.com/residual-ml/residual/internal/rng"
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
type Rand struct{ stream rng.Stream }

// Image starts the random numbers of an image.
func (l *Rand) Image(seed uint64, epoch, index int) { l.begin(seed, epoch, index, "picture.") }

// Batch starts the random numbers of a batch, counted from 0 in its epoch: those of Mixup
// and CutMix. They differ from those of every image.
func (l *Rand) Batch(seed uint64, epoch, batch int) { l.begin(seed, epoch, batch, "batch...") }

func (l *Rand) begin(seed uint64, epoch, index int, kind string) {
	if epoch < 0 || index < 0 {
		panic(tensor.Misusef("transforms.Rand: epoch %d, index %d", epoch, index))
	}
	l.stream.Seed(seed, uint64(epoch), uint64(index), kind)
}

// Uint64 implements rand.Source.
func (l *Rand) Uint64() uint64 { return l.stream.Uint64() }

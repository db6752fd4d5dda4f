// Package transforms prepares images as torchvision.transforms does, under its names: with
// the same sizes and rounding, and for 8-bit pixels the same bits as torchvision gives for a
// PIL image (https://pytorch.org/vision/stable/transforms.html).
//
// A Transform makes one Image of another; Compose applies several in turn:
//
//	train := transforms.Compose{transforms.RandomResizedCrop{Size: 224}, transforms.RandomHorizontalFlip{}}
//	var r transforms.Rand
//	r.Image(seed, epoch, index)
//	m = train.Apply(m, &r)
//
// Random transforms take their random numbers from a Rand, which depends only on the seed,
// the epoch and the index of the image. Mixup and CutMix are a BatchTransform, and
// ImageClassification is the preparation for evaluation. The package knows only pixels.
package transforms

import (
	"math/rand/v2"

	"github.com/residual-ml/residual/tensor"
)

// Image is an image of 8-bit pixels, channel by channel: Pix is [Channels, Height,
// Width] in row-major order. Channels is 1 (grey) or 3 (red, green, blue).
type Image struct {
	Channels, Height, Width int
	Pix                     []uint8
}

// NewImage returns a black image. It panics when a size is below 1.
func NewImage(channels, height, width int) Image {
	if channels < 1 || height < 1 || width < 1 {
		panic(tensor.Misusef("transforms.NewImage: [%d, %d, %d]", channels, height, width))
	}
	return Image{channels, height, width, make([]uint8, channels*height*width)}
}

// plane returns the pixels of one channel.
func (m Image) plane(channel int) []uint8 {
	area := m.Height * m.Width
	return m.Pix[channel*area : (channel+1)*area]
}

// check panics when the pixels do not have the sizes.
func (m Image) check(op string) {
	if m.Channels < 1 || m.Height < 1 || m.Width < 1 || len(m.Pix) != m.Channels*m.Height*m.Width {
		panic(tensor.Misusef("transforms.%s: %d bytes of [%d, %d, %d]", op, len(m.Pix), m.Channels, m.Height, m.Width))
	}
}

// Transform makes an image of another. One that uses random numbers draws them from r alone,
// so that the same r gives the same image; the others take nil. The result may be
// the image given or share its pixels; the image given is never changed. A transform panics
// with a tensor.Misuse for an image that it does not take, and data.Loader returns that as an
// error that names the image; any other panic is a mistake in the transform, and passes.
type Transform interface {
	Apply(m Image, r rand.Source) Image
}

// Compose applies its transforms in turn.
type Compose []Transform

// Apply implements Transform.
func (c Compose) Apply(m Image, r rand.Source) Image {
	for _, t := range c {
		m = t.Apply(m, r)
	}
	return m
}

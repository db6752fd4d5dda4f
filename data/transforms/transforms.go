// Package transforms prepares and augments images as torchvision.transforms does, under the
// same names. For 8-bit pixels it gives the same bits as torchvision does for a PIL image
// (https://pytorch.org/vision/stable/transforms.html).
//
// A Transform turns an Image into another one, and Compose applies several in order:
//
//	train := transforms.Compose{transforms.RandomResizedCrop{Size: 224}, transforms.RandomHorizontalFlip{}}
//	var r transforms.Rand
//	r.Image(seed, epoch, index)
//	m = train.Apply(m, &r)
//
// Random transforms take their random numbers from a Rand, which depends only on the seed,
// the epoch and the index of the image. Mixup and CutMix are BatchTransforms, which mix the
// images of a batch. ImageClassification prepares images for evaluation, and Normalize
// turns pixels into float32 values. FromImage and ToImage convert from and to image.Image.
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

// check panics when the number of pixels does not match the size of the image.
func (m Image) check(op string) {
	if m.Channels < 1 || m.Height < 1 || m.Width < 1 || len(m.Pix) != m.Channels*m.Height*m.Width {
		panic(tensor.Misusef("transforms.%s: %d bytes of [%d, %d, %d]", op, len(m.Pix), m.Channels, m.Height, m.Width))
	}
}

// Transform turns an image into another one. A random transform takes all its random numbers
// from r, so the same r gives the same image; for other transforms r may be nil. Apply never
// changes m, but its result may be m or share the pixels of m. Apply panics with a
// tensor.Misuse for an image that the transform does not take; data.Loader returns that as an
// error that names the image, and lets any other panic pass.
type Transform interface {
	Apply(m Image, r rand.Source) Image
}

// Compose applies its transforms in order.
type Compose []Transform

// Apply implements Transform.
func (c Compose) Apply(m Image, r rand.Source) Image {
	for _, t := range c {
		m = t.Apply(m, r)
	}
	return m
}

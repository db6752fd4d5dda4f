package inference

import (
	"fmt"
	"image"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

// Prepare turns images into the model's input [N, C, H, W], as the training saw
// its images (see prepare.Input):
//
//  1. 8 bits of grey or of red, green and blue, as many as the model has channels;
//     grey is the luma of ITU-R 601 with Pillow's rounding (convert("L")), and
//     transparency is left out, as Pillow does;
//  2. resized to the size of the training's images, whatever the image's sides, by
//     Pillow's bilinear filter, and from there to the model's input by the model's filter;
//  3. times the model's scale (1/255 unless it says otherwise), less its mean, over
//     its std, with blue first if the model has it so.
//
// For a model that has ResizeShorter, torchvision's preset ImageClassification stands
// in place of 2.
func (c *Classifier) Prepare(images []image.Image) (*tensor.Tensor, error) {
	if err := c.TakesImages(); err != nil {
		return nil, err
	}
	pixels := make([]transforms.Image, len(images))
	for i, img := range images {
		if w, h := img.Bounds().Dx(), img.Bounds().Dy(); w == 0 || h == 0 {
			return nil, fmt.Errorf("an image of %dx%d has no pixels", w, h)
		}
		pixels[i] = transforms.FromImage(img, c.info.Channels)
	}
	return c.PreparePixels(pixels)
}

// TakesImages returns an error where the model's channels are not those of an image.
func (c *Classifier) TakesImages() error {
	if c.info.Channels != 1 && c.info.Channels != 3 {
		return fmt.Errorf("%s takes %d channels; an image has 1 (grey) or 3 (red, green, blue)", c.path, c.info.Channels)
	}
	return nil
}

// PreparePixels is Prepare for decoded images, such as package photo reads, with as many
// channels as the model has.
func (c *Classifier) PreparePixels(images []transforms.Image) (*tensor.Tensor, error) {
	if len(images) == 0 {
		return nil, fmt.Errorf("no image was given")
	}
	var x *tensor.Tensor
	var height, width int
	for i, m := range images {
		if m.Channels != c.info.Channels {
			return nil, fmt.Errorf("%s takes %d channels, and an image has %d", c.path, c.info.Channels, m.Channels)
		}
		m = c.info.Pixels(m)
		if x == nil {
			height, width = m.Height, m.Width
			x = tensor.New(len(images), m.Channels, height, width)
		}
		if m.Height != height || m.Width != width {
			return nil, fmt.Errorf("images of %dx%d and %dx%d cannot share a batch, as %s takes any size", width, height, m.Width, m.Height, c.path)
		}
		c.info.Write(x.Data()[i*len(m.Pix):][:len(m.Pix)], m)
	}
	return x, nil
}

// Pictures returns a view of ds with images of the size that the model takes; Scale does
// the rest. Where ds has images of several sizes, each is prepared as Prepare does it.
func (c *Classifier) Pictures(ds data.Dataset) data.Dataset {
	own, ok := ds.(data.Pictures)
	p, info := c.info.Preprocess, ds.Info()
	switch {
	case ok:
	case p.ResizeShorter > 0:
		return data.Cropped(ds, c.info.Preset())
	case p.Resize > 0 && p.Filter() == transforms.Bilinear,
		p.Resize == 0 && (c.info.Height == 0 || c.info.Height == info.Height && c.info.Width == info.Width):
		return data.Resize(ds, p.Resize)
	default:
		own = oneSize{ds}
	}
	v := prepared{own, c.info.Input, info}
	m := v.input.Pixels(transforms.NewImage(v.info.Channels, v.info.Height, v.info.Width))
	v.info.Height, v.info.Width = m.Height, m.Width
	return v
}

// oneSize makes data.Pictures of a data set whose images are all of one size.
type oneSize struct{ data.Dataset }

func (w oneSize) Picture(i int) (transforms.Image, int, error) {
	info := w.Info()
	m := transforms.NewImage(info.Channels, info.Height, info.Width)
	label, err := w.Get(i, m.Pix)
	return m, label, err
}

// prepared is a view of images of several sizes, as the model takes them.
type prepared struct {
	data.Pictures
	input prepare.Input
	info  data.Info
}

func (v prepared) Info() data.Info { return v.info }

func (v prepared) Get(i int, pix []uint8) (int, error) {
	if l, ok := v.Pictures.(data.Lender); ok {
		return l.Lend(i, func(m transforms.Image) { copy(pix, v.input.Pixels(m).Pix) })
	}
	m, label, err := v.Picture(i)
	if err != nil {
		return 0, err
	}
	copy(pix, v.input.Pixels(m).Pix)
	return label, nil
}

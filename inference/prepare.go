package inference

import (
	"cmp"
	"fmt"
	"image"
	"reflect"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

// ImageError is the error about an image that cannot be classified, such as one that cannot be
// decoded, has too many pixels or is nil. It is wrapped in the errors of a Classifier; a service
// answers it with a status that blames the request.
type ImageError struct{ Err error }

func (e *ImageError) Error() string { return e.Err.Error() }
func (e *ImageError) Unwrap() error { return e.Err }

// Prepare turns images into the model's input [N, C, H, W], in the same way as the training
// prepared its images:
//
//  1. Convert each image to 8 bits per channel, to grey or to red, green and blue according
//     to the model's channels. Grey is the luma of ITU-R 601 with Pillow's rounding
//     (convert("L")). Transparency is ignored, as in Pillow.
//  2. Resize it to the size of the training's images with Pillow's bilinear filter,
//     regardless of its proportions, and from there to the model's input size with the
//     model's own filter.
//  3. Multiply by the model's scale (1/255 by default), subtract the mean and divide by the
//     std, and reverse the channels if the model takes blue first.
//
// If the model has ResizeShorter, step 2 is that of torchvision's preset
// ImageClassification: resize the shorter side and crop the centre.
func (c *Classifier) Prepare(images []image.Image) (*tensor.Tensor, error) {
	pixels, err := c.pixels(images)
	if err != nil {
		return nil, err
	}
	return c.PreparePixels(pixels)
}

// prepareImage is Prepare for the views of one image, as wide says.
func (c *Classifier) prepareImage(img image.Image) (*tensor.Tensor, error) {
	pixels, err := c.pixels([]image.Image{img})
	if err != nil {
		return nil, err
	}
	return c.prepared(pixels, c.wide())
}

// pixels converts images to the model's channels.
func (c *Classifier) pixels(images []image.Image) ([]transforms.Image, error) {
	if err := c.TakesImages(); err != nil {
		return nil, err
	}
	pixels := make([]transforms.Image, len(images))
	for i, img := range images {
		if v := reflect.ValueOf(img); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			return nil, &ImageError{fmt.Errorf("the image is nil (%T); give one that was decoded", img)}
		}
		if w, h := img.Bounds().Dx(), img.Bounds().Dy(); w == 0 || h == 0 {
			return nil, &ImageError{fmt.Errorf("an image of %dx%d has no pixels", w, h)}
		}
		pixels[i] = transforms.FromImage(img, c.info.Channels)
	}
	return pixels, nil
}

// TakesImages returns an error if the model has a number of channels that no image has.
func (c *Classifier) TakesImages() error {
	if c.info.Channels != 1 && c.info.Channels != 3 {
		return fmt.Errorf("%s takes %d channels; an image has 1 (grey) or 3 (red, green, blue)", c.path, c.info.Channels)
	}
	return nil
}

// PreparePixels is Prepare for decoded pixels, such as those that package photo reads. The
// images must have as many channels as the model.
func (c *Classifier) PreparePixels(images []transforms.Image) (*tensor.Tensor, error) {
	return c.prepared(images, c.info.Input)
}

// prepared is PreparePixels for another input than the model's.
func (c *Classifier) prepared(images []transforms.Image, in prepare.Input) (*tensor.Tensor, error) {
	if len(images) == 0 {
		return nil, fmt.Errorf("no image was given")
	}
	var x *tensor.Tensor
	var height, width int
	for i, m := range images {
		if m.Channels != c.info.Channels {
			return nil, fmt.Errorf("%s takes %d channels, and an image has %d", c.path, c.info.Channels, m.Channels)
		}
		m = in.Pixels(m)
		if x == nil {
			height, width = m.Height, m.Width
			x = tensor.New(len(images), m.Channels, height, width)
		}
		if m.Height != height || m.Width != width {
			return nil, fmt.Errorf("images of %dx%d and %dx%d cannot share a batch, since %s takes images of any size", width, height, m.Width, m.Height, c.path)
		}
		in.Write(x.Data()[i*len(m.Pix):][:len(m.Pix)], m)
	}
	return x, nil
}

// Images returns a view of ds with images resized and cropped for the model; Scale then
// converts their values. If ds has images of different sizes, they are prepared from their
// original size, as by Prepare.
func (c *Classifier) Images(ds data.Dataset) data.Dataset { return imagesFor(ds, c.info.Input) }

// imagesFor is Classifier.Images for an input.
func imagesFor(ds data.Dataset, in prepare.Input) data.Dataset {
	_, _, own := data.As[data.Images](ds)
	p, info := in.Preprocess, ds.Info()
	switch {
	case own:
	case p.ResizeShorter > 0:
		return data.Cropped(ds, in.Preset())
	case p.Resize > 0 && p.Filter() == transforms.Bilinear,
		p.Resize == 0 && (in.Height == 0 || in.Height == info.Height && in.Width == info.Width):
		return data.Resize(ds, p.Resize)
	}
	v := preparedView{ds, in, info}
	m := v.input.Pixels(transforms.NewImage(v.info.Channels, v.info.Height, v.info.Width))
	v.info.Height, v.info.Width = m.Height, m.Width
	return v
}

// preparedView is a data set whose images are resized and cropped for a model.
type preparedView struct {
	data.Dataset
	input prepare.Input
	info  data.Info
}

func (v preparedView) Info() data.Info      { return v.info }
func (v preparedView) Unwrap() data.Dataset { return v.Dataset }
func (v preparedView) Index(i int) int      { return i }

func (v preparedView) Get(i int, pix []uint8) (int, error) {
	return data.Lend(v.Dataset, i, func(m transforms.Image) { copy(pix, v.input.Pixels(m).Pix) })
}

// oneImage returns the shape of an image that the network takes.
func (c *Classifier) oneImage() tensor.Shape {
	const usual = 224
	e, err := models.Lookup(c.info.Architecture)
	if err != nil {
		e = models.Entry{}
	}
	return tensor.Shape{1, c.info.Channels, cmp.Or(c.info.Height, e.Height, usual), cmp.Or(c.info.Width, e.Width, usual)}
}

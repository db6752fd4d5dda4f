package inference

import (
	"fmt"
	"image"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

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
	if len(images) == 0 {
		return nil, fmt.Errorf("no image was given")
	}
	var x *tensor.Tensor
	var height, width int
	for i, m := range images {
		if m.Channels != c.info.Channels {
			return nil, fmt.Errorf("%s takes %d channels, and an image has %d", c.path, c.info.Channels, m.Channels)
		}
		m = c.pixels(m)
		if x == nil {
			height, width = m.Height, m.Width
			x = tensor.New(len(images), m.Channels, height, width)
		}
		if m.Height != height || m.Width != width {
			return nil, fmt.Errorf("images of %dx%d and %dx%d cannot share a batch, since %s takes images of any size", width, height, m.Width, m.Height, c.path)
		}
		c.scale(x.Data()[i*len(m.Pix):], slices.Collect(slices.Chunk(m.Pix, m.Height*m.Width)))
	}
	return x, nil
}

// pixels resizes and crops an image for the model, which is step 2 of Prepare.
func (c *Classifier) pixels(m transforms.Image) transforms.Image {
	p := c.info.Preprocess
	if p.ResizeShorter > 0 {
		m = c.preset().Pixels(m)
	}
	by := c.interpolation()
	for _, t := range []transforms.Resize{
		{Height: p.NativeHeight, Width: p.NativeWidth}, {Height: p.Resize, Width: p.Resize, Interpolation: by},
		{Height: c.info.Height, Width: c.info.Width, Interpolation: by},
	} {
		if t.Height > 0 && t.Width > 0 {
			m = t.Apply(m, nil)
		}
	}
	return m
}

func (c *Classifier) interpolation() transforms.Interpolation {
	i, _ := transforms.ParseInterpolation(c.info.Preprocess.Interpolation) // checked when the file was read
	return i
}

// Images returns a view of ds with images resized and cropped for the model; Scale then
// converts their values. If ds has images of different sizes, they are prepared from their
// original size, as by Prepare.
func (c *Classifier) Images(ds data.Dataset) data.Dataset {
	own, ok := ds.(data.Pictures)
	p, info := c.info.Preprocess, ds.Info()
	switch {
	case ok:
	case p.ResizeShorter > 0:
		return data.Cropped(ds, c.preset())
	case p.Resize > 0 && c.interpolation() == transforms.Bilinear,
		p.Resize == 0 && (c.info.Height == 0 || c.info.Height == info.Height && c.info.Width == info.Width):
		return data.Resize(ds, p.Resize)
	default:
		own = uniform{ds}
	}
	v := preparedView{own, c, info}
	m := c.pixels(transforms.NewImage(v.info.Channels, v.info.Height, v.info.Width))
	v.info.Height, v.info.Width = m.Height, m.Width
	return v
}

// uniform implements data.Pictures for a data set whose images all have the same size.
type uniform struct{ data.Dataset }

func (w uniform) Picture(i int) (transforms.Image, int, error) {
	info := w.Info()
	m := transforms.NewImage(info.Channels, info.Height, info.Width)
	label, err := w.Get(i, m.Pix)
	return m, label, err
}

// anySize reports whether the model takes images of any size without resizing them.
func (c *Classifier) anySize() bool {
	p := c.info.Preprocess
	return c.info.Height == 0 && c.info.Width == 0 && p.Resize == 0 && p.ResizeShorter == 0 && p.NativeHeight == 0
}

// preparedView is a data set whose images are resized and cropped for a model.
type preparedView struct {
	data.Pictures
	c    *Classifier
	info data.Info
}

func (v preparedView) Info() data.Info { return v.info }

func (v preparedView) Get(i int, pix []uint8) (int, error) {
	if l, ok := v.Pictures.(data.Lender); ok {
		return l.Lend(i, func(m transforms.Image) { copy(pix, v.c.pixels(m).Pix) })
	}
	m, label, err := v.Picture(i)
	if err != nil {
		return 0, err
	}
	copy(pix, v.c.pixels(m).Pix)
	return label, nil
}

// preset returns the resizing and cropping of a model that has ResizeShorter.
func (c *Classifier) preset() transforms.ImageClassification {
	return transforms.ImageClassification{ResizeSize: c.info.Preprocess.ResizeShorter, CropSize: c.info.Height, Interpolation: c.interpolation()}
}

// scale writes the planes of one image to dst, on the model's scale.
func (c *Classifier) scale(dst []float32, planes [][]uint8) {
	if c.info.Preprocess.BGR {
		slices.Reverse(planes)
	}
	for i, plane := range planes {
		table := c.table(i)
		for j, v := range plane {
			dst[i*len(plane)+j] = table[v]
		}
	}
}

// table returns the value of each byte of a channel on the model's scale. With the default
// scale these are exactly the values that the training's loader gave.
func (c *Classifier) table(channel int) (t [256]float32) {
	p := c.info.Preprocess
	if p.Scale == 1.0/255 {
		return transforms.Normalize{Mean: p.Mean, Std: p.Std}.Table(channel)
	}
	for v := range t {
		x := float64(v) * p.Scale
		if len(p.Mean) > 0 {
			x -= p.Mean[channel]
		}
		if len(p.Std) > 0 {
			x /= p.Std[channel]
		}
		t[v] = float32(x)
	}
	return t
}

// fromUnit converts a loader's batch, whose values are bytes divided by 255, to the model's
// scale, in place.
func (c *Classifier) fromUnit(x *tensor.Tensor) {
	p := c.info.Preprocess
	if p.Scale == 1.0/255 && len(p.Mean)+len(p.Std) == 0 && !p.BGR {
		return
	}
	s := x.Shape()
	area := s[2] * s[3]
	if p.BGR {
		for image := range slices.Chunk(x.Data(), s[1]*area) {
			red, blue := image[:area], image[2*area:]
			for i := range red {
				red[i], blue[i] = blue[i], red[i]
			}
		}
	}
	for channel := range s[1] {
		table := c.table(channel)
		for n := range s[0] {
			plane := x.Data()[(n*s[1]+channel)*area:][:area]
			for i, v := range plane {
				plane[i] = table[uint8(v*255+0.5)]
			}
		}
	}
}

package inference

import (
	"fmt"
	"image"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// Prepare turns images into the model's input [N, C, H, W], as the training saw
// its pictures:
//
//  1. 8 bits of grey or of red, green and blue, as many as the model has channels;
//     grey is the luma of ITU-R 601 with Pillow's rounding (convert("L")), and
//     transparency is left out, as Pillow does;
//  2. resized to the size of the training's pictures, whatever the image's sides, by
//     Pillow's bilinear filter, and from there to the model's input by the model's;
//  3. times the model's scale (1/255 unless it says otherwise), less its mean, over
//     its std, with blue first if the model has it so.
//
// A model that has ResizeShorter gets what torchvision's preset ImageClassification
// gives in place of 2.
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

// TakesImages is an error where the model's channels are not those of an image.
func (c *Classifier) TakesImages() error {
	if c.info.Channels != 1 && c.info.Channels != 3 {
		return fmt.Errorf("%s takes %d channels; an image has 1 (grey) or 3 (red, green, blue)", c.path, c.info.Channels)
	}
	return nil
}

// PreparePixels is Prepare for images that are pixels already, such as package photo
// reads, of as many channels as the model has.
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
			return nil, fmt.Errorf("images of %dx%d and %dx%d cannot share a batch, as %s takes any size", width, height, m.Width, m.Height, c.path)
		}
		c.scale(x.Data()[i*len(m.Pix):], slices.Collect(slices.Chunk(m.Pix, m.Height*m.Width)))
	}
	return x, nil
}

// pixels brings an image to the size that the model takes: step 2 of Prepare.
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
	i, _ := transforms.ParseInterpolation(c.info.Preprocess.Interpolation) // which the file's reader has checked
	return i
}

// Pictures returns a view of ds with pictures of the size that the model wants, cut
// out if it says so; Scale does the rest. Pictures of sizes of their own are prepared
// from those, as Prepare prepares them.
func (c *Classifier) Pictures(ds data.Dataset) data.Dataset {
	_, _, own := data.As[data.Images](ds)
	p, info := c.info.Preprocess, ds.Info()
	switch {
	case own:
	case p.ResizeShorter > 0:
		return data.Cropped(ds, c.preset())
	case p.Resize > 0 && c.interpolation() == transforms.Bilinear,
		p.Resize == 0 && (c.info.Height == 0 || c.info.Height == info.Height && c.info.Width == info.Width):
		return data.Resize(ds, p.Resize)
	}
	v := prepared{ds, c, info}
	m := c.pixels(transforms.NewImage(v.info.Channels, v.info.Height, v.info.Width))
	v.info.Height, v.info.Width = m.Height, m.Width
	return v
}

// anySize says that the model takes images as large as they are.
func (c *Classifier) anySize() bool {
	p := c.info.Preprocess
	return c.info.Height == 0 && c.info.Width == 0 && p.Resize == 0 && p.ResizeShorter == 0 && p.NativeHeight == 0
}

// prepared is a view of pictures of sizes of their own, as the model takes them.
type prepared struct {
	data.Dataset
	c    *Classifier
	info data.Info
}

func (v prepared) Info() data.Info      { return v.info }
func (v prepared) Unwrap() data.Dataset { return v.Dataset }
func (v prepared) Index(i int) int      { return i }

func (v prepared) Get(i int, pix []uint8) (int, error) {
	return data.Lend(v.Dataset, i, func(m transforms.Image) { copy(pix, v.c.pixels(m).Pix) })
}

// preset is the preparation of a model that has ResizeShorter.
func (c *Classifier) preset() transforms.ImageClassification {
	return transforms.ImageClassification{ResizeSize: c.info.Preprocess.ResizeShorter, CropSize: c.info.Height, Interpolation: c.interpolation()}
}

// scale writes the planes of one image as the network's numbers.
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

// table lists what each byte of a channel becomes. At the usual scale it is what a
// loader of the training made of it.
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

// fromUnit changes a batch of the loader, bytes over 255, to the model's scale.
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

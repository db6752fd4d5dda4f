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
//  2. resized to the size of the training's pictures, whatever the image's sides,
//     and from there to the model's input, both by Pillow's bilinear filter;
//  3. times the model's scale (1/255 unless it says otherwise), less its mean,
//     over its deviation.
//
// A model that has ResizeShorter gets what torchvision's preset ImageClassification
// gives: its preparation in place of 2 and 3.
func (c *Classifier) Prepare(images []image.Image) (*tensor.Tensor, error) {
	p := c.info.Preprocess
	if c.info.Channels != 1 && c.info.Channels != 3 {
		return nil, fmt.Errorf("%s takes %d channels; an image has 1 (grey) or 3 (red, green, blue)", c.path, c.info.Channels)
	}
	var x *tensor.Tensor
	var height, width int
	for i, img := range images {
		if w, h := img.Bounds().Dx(), img.Bounds().Dy(); w == 0 || h == 0 {
			return nil, fmt.Errorf("an image of %dx%d has no pixels", w, h)
		}
		pixels := transforms.FromImage(img, c.info.Channels)
		w, h := pixels.Width, pixels.Height
		if p.ResizeShorter > 0 {
			pixels = c.preset().Pixels(pixels)
			w, h = pixels.Width, pixels.Height
		}
		planes := slices.Collect(slices.Chunk(pixels.Pix, w*h))
		if p.NativeWidth > 0 && p.NativeHeight > 0 {
			planes, w, h = resize(planes, w, h, p.NativeWidth, p.NativeHeight)
		}
		if p.Resize > 0 {
			planes, w, h = resize(planes, w, h, p.Resize, p.Resize)
		}
		if c.info.Width > 0 && c.info.Height > 0 {
			planes, w, h = resize(planes, w, h, c.info.Width, c.info.Height)
		}
		if x == nil {
			x, height, width = tensor.New(len(images), c.info.Channels, h, w), h, w
		}
		if h != height || w != width {
			return nil, fmt.Errorf("images of %dx%d and %dx%d cannot share a batch, as %s takes any size", width, height, w, h, c.path)
		}
		c.scale(x.Data()[i*c.info.Channels*h*w:], planes)
	}
	if x == nil {
		return nil, fmt.Errorf("no image was given")
	}
	return x, nil
}

// preset is the preparation of a model that has ResizeShorter.
func (c *Classifier) preset() transforms.ImageClassification {
	t := transforms.ImageClassification{ResizeSize: c.info.Preprocess.ResizeShorter, CropSize: c.info.Height}
	if c.info.Preprocess.Interpolation == transforms.Bicubic.String() {
		t.Interpolation = transforms.Bicubic
	}
	return t
}

// scale writes the planes of one image as the network's numbers.
func (c *Classifier) scale(dst []float32, planes [][]uint8) {
	for i, plane := range planes {
		table := c.table(i)
		for j, v := range plane {
			dst[i*len(plane)+j] = table[v]
		}
	}
}

// table lists what each byte of a channel becomes. The usual scale divides, for
// v*(1/255) differs from v/255 in the last bit.
func (c *Classifier) table(channel int) (t [256]float32) {
	p := c.info.Preprocess
	if p.ResizeShorter > 0 {
		return transforms.Normalize{Mean: p.Mean, Std: p.Std}.Table(channel)
	}
	for v := range t {
		x := float64(float32(v) / 255)
		if p.Scale != 1.0/255 {
			x = float64(v) * p.Scale
		}
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
	if p.Scale == 1.0/255 && len(p.Mean)+len(p.Std) == 0 {
		return
	}
	s := x.Shape()
	area := s[2] * s[3]
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

func resize(planes [][]uint8, w, h, dw, dh int) ([][]uint8, int, int) {
	if w == dw && h == dh {
		return planes, w, h
	}
	out := make([][]uint8, len(planes))
	for i, p := range planes {
		out[i] = make([]uint8, dw*dh)
		data.ResizeBilinear(out[i], dw, dh, p, w, h)
	}
	return out, dw, dh
}

package prepare

import (
	"image"
	"slices"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// AnySize reports whether the model takes images of any size without resizing them.
func (in Input) AnySize() bool {
	p := in.Preprocess
	return in.Height == 0 && in.Width == 0 && p.Resize == 0 && p.ResizeShorter == 0 && p.NativeHeight == 0
}

// Preset returns torchvision's preset for an Input with ResizeShorter. Its Mean and Std are
// not set, since Input.Write normalises.
func (in Input) Preset() transforms.ImageClassification {
	p := in.Preprocess
	return transforms.ImageClassification{ResizeSize: p.ResizeShorter, CropSize: in.Height, Interpolation: p.Filter()}
}

// Pixels resizes and crops an image to the size of the model's input. The result has the
// channels of m, red first.
func (in Input) Pixels(m transforms.Image) transforms.Image {
	p := in.Preprocess
	if p.ResizeShorter > 0 {
		m = in.Preset().Pixels(m)
	}
	by := p.Filter()
	for _, t := range []transforms.Resize{
		{Height: p.NativeHeight, Width: p.NativeWidth}, {Height: p.Resize, Width: p.Resize, Interpolation: by},
		{Height: in.Height, Width: in.Width, Interpolation: by},
	} {
		if t.Height > 0 && t.Width > 0 {
			m = t.Apply(m, nil)
		}
	}
	return m
}

// Write writes the input of the network for the pixels of m into dst, which has the shape
// [Channels, Height, Width] of m. It panics when dst has another length.
func (in Input) Write(dst []float32, m transforms.Image) {
	if len(dst) != len(m.Pix) {
		panic(tensor.Misusef("prepare.Write: %d numbers for [%d, %d, %d]", len(dst), m.Channels, m.Height, m.Width))
	}
	planes := slices.Collect(slices.Chunk(m.Pix, m.Height*m.Width))
	if in.Preprocess.BGR {
		slices.Reverse(planes)
	}
	for i, plane := range planes {
		table := in.Preprocess.Table(i)
		for j, v := range plane {
			dst[i*len(plane)+j] = table[v]
		}
	}
}

// Table returns the value of each possible pixel of a channel, where channels are counted in
// the model's order. At UnitScale it has the same bits as transforms.Normalize, which
// training uses.
func (p Steps) Table(channel int) (t [256]float32) {
	if p.Scale == UnitScale {
		return p.Normalize().Table(channel)
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

// Normalize returns the transform with the Mean and Std of the steps.
func (p Steps) Normalize() transforms.Normalize {
	return transforms.Normalize{Mean: p.Mean, Std: p.Std}
}

// Affine returns the scale and shift of a channel: a pixel v becomes scale*v + shift.
func (p Steps) Affine(channel int) (scale, shift float64) {
	scale = p.Scale
	if len(p.Mean) > 0 {
		shift = -p.Mean[channel]
	}
	if len(p.Std) > 0 {
		scale, shift = scale/p.Std[channel], shift/p.Std[channel]
	}
	return scale, shift
}

// Unit reports whether the values of a network are pixels scaled to 0..1, red first, without
// a mean and std.
func (p Steps) Unit() bool {
	return p.Scale == UnitScale && len(p.Mean)+len(p.Std) == 0 && !p.BGR
}

// FromUnit converts x in place, images [N, Channels, H, W] with pixels divided by 255, red
// first, into the input of the network. area is H·W.
func (in Input) FromUnit(x []float32, area int) {
	p := in.Preprocess
	if p.Unit() {
		return
	}
	if p.BGR {
		for image := range slices.Chunk(x, in.Channels*area) {
			red, blue := image[:area], image[2*area:]
			for i := range red {
				red[i], blue[i] = blue[i], red[i]
			}
		}
	}
	for channel := range in.Channels {
		table := p.Table(channel)
		for image := range slices.Chunk(x, in.Channels*area) {
			plane := image[channel*area:][:area]
			for i, v := range plane {
				plane[i] = table[uint8(v*255+0.5)]
			}
		}
	}
}

// Seen returns the part of an image with bounds b that reaches the model: all of it, or the
// middle when the steps crop.
func (in Input) Seen(b image.Rectangle) image.Rectangle {
	p := in.Preprocess
	if p.ResizeShorter == 0 || b.Empty() {
		return b
	}
	short := float64(min(b.Dx(), b.Dy())) / float64(p.ResizeShorter) // pixels of the image per pixel of the resized one
	w := min(b.Dx(), int(float64(in.Width)*short+0.5))
	h := min(b.Dy(), int(float64(in.Height)*short+0.5))
	at := b.Min.Add(image.Pt((b.Dx()-w)/2, (b.Dy()-h)/2))
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(w, h))}
}

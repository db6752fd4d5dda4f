package photo

import (
	"fmt"
	"image"

	"github.com/residual-ml/residual/data/jpeg"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/promptly"
)

// ReadPart decodes a part of a file's image: choose is told the height and the width of
// the image, upright, and returns the part, which must lie within it. The pixels are
// those of Read, and so is the error: damage outside the part is damage. Of a JPEG file
// only what the part needs is computed.
func ReadPart(path string, o Options, choose func(height, width int) transforms.Crop) (transforms.Image, Info, error) {
	content, _, err := Load(path, o)
	if err != nil {
		return transforms.Image{}, Info{}, err
	}
	m, info, err := DecodePart(content, o, choose)
	if err != nil {
		err = fmt.Errorf("image %s: %w", path, err)
	}
	return m, info, err
}

// DecodePart is ReadPart for a file's content.
func DecodePart(content []byte, o Options, choose func(height, width int) transforms.Crop) (m transforms.Image, info Info, err error) {
	channels := o.Channels
	if channels == 0 {
		channels = 3
	}
	if info, err = Inspect(content, o); err != nil {
		return m, info, err
	}
	turn := transforms.Orient{Orientation: info.Orientation}
	if o.AsStored {
		turn.Orientation = 1
	}
	if info.Format == "jpeg" {
		if m, err = jpegPart(content, turn.Orientation, o, choose); err != nil {
			return transforms.Image{}, info, err
		}
		return turn.Apply(m.As(channels), nil), info, nil
	}
	f, err := formatOf(content)
	if err != nil {
		return m, info, err
	}
	ctx := o.context()
	if err := ctx.Err(); err != nil {
		return m, info, err
	}
	m, err = promptly.Result(ctx, func() (m transforms.Image, err error) {
		defer stumbled(new(bool), &err)
		if m, err = f.decode(content); err != nil {
			err = undecodable(info.Format, err)
		}
		return m, err
	})
	if err := ctx.Err(); err != nil {
		return transforms.Image{}, info, err
	}
	if err != nil {
		return transforms.Image{}, info, err
	}
	m = turn.Apply(m.As(channels), nil)
	if choose != nil {
		m = choose(m.Height, m.Width).Apply(m, nil)
	}
	return m, info, nil
}

// jpegPart decodes a JPEG file, or the part of it that choose wants of it upright.
func jpegPart(content []byte, orientation int, o Options, choose func(height, width int) transforms.Crop) (m transforms.Image, err error) {
	choosing := false
	defer stumbled(&choosing, &err)
	var part func(w, h int) image.Rectangle
	if choose != nil {
		part = func(w, h int) image.Rectangle {
			height, width := h, w
			if orientation > 4 && orientation <= 8 {
				height, width = w, h
			}
			choosing = true
			cut := choose(height, width)
			choosing = false
			return stored(cut, orientation, w, h)
		}
	}
	p, err := jpeg.DecodePart(o.context(), content, part)
	if err != nil && o.context().Err() == nil {
		err = undecodable("jpeg", err)
	}
	return transforms.Image(p), err
}

// stumbled makes an error of the panic of a decoder over a damaged file, since most decoders
// are other modules' and index what a file says. It lets a panic pass while *called is set:
// then it comes from the caller's own function.
func stumbled(called *bool, err *error) {
	if *called {
		return
	}
	if r := recover(); r != nil {
		*err = fmt.Errorf("cannot be decoded (%v); give another file", r)
	}
}

// stored is where a part of an upright image lies in one stored w by h.
func stored(c transforms.Crop, orientation, w, h int) image.Rectangle {
	x, y, dx, dy := c.Left, c.Top, c.Width, c.Height
	if orientation > 4 && orientation <= 8 { // it lies on its side
		x, y, dx, dy = y, x, dy, dx
	}
	switch orientation {
	case 2, 3, 7, 8:
		x = w - x - dx
	}
	switch orientation {
	case 3, 4, 6, 7:
		y = h - y - dy
	}
	return image.Rect(x, y, x+dx, y+dy)
}

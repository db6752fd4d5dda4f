package photo

import (
	"fmt"
	"image"

	"github.com/residual-ml/residual/data/jpeg"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/promptly"
)

// ReadPart decodes a part of the image in a file. It calls choose with the height and the width
// of the image, after EXIF orientation, and choose returns the part, which must be inside the
// image. Pixels and errors are those of Read: damage outside the part is also an error. For a
// JPEG file only the pixels of the part are computed.
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

// DecodePart is ReadPart for the content of a file.
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
		defer recoverPanic(new(bool), &err)
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

// jpegPart decodes a JPEG file, or the part that choose returns for the oriented image. The result
// has the orientation of the file.
func jpegPart(content []byte, orientation int, o Options, choose func(height, width int) transforms.Crop) (m transforms.Image, err error) {
	choosing := false
	defer recoverPanic(&choosing, &err)
	var part func(w, h int) image.Rectangle
	if choose != nil {
		part = func(w, h int) image.Rectangle {
			height, width := h, w
			if orientation > 4 && orientation <= 8 {
				height, width = w, h
			}
			choosing = true
			crop := choose(height, width)
			choosing = false
			return storedPart(crop, orientation, w, h)
		}
	}
	p, err := jpeg.DecodePart(o.context(), content, part)
	if err != nil && o.context().Err() == nil {
		err = undecodable("jpeg", err)
	}
	return transforms.Image(p), err
}

// storedPart converts a part of the oriented image to coordinates of the stored image, which has w
// by h pixels.
func storedPart(c transforms.Crop, orientation, w, h int) image.Rectangle {
	x, y, dx, dy := c.Left, c.Top, c.Width, c.Height
	if orientation > 4 && orientation <= 8 { // rotated by a quarter turn
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

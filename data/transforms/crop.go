package transforms

import (
	"math"
	"math/rand/v2"

	"github.com/residual-ml/residual/tensor"
)

// CenterCrop cuts Size by Size pixels, or Height by Width, out of the middle. A smaller
// image gets black borders; an odd pixel is added on the right or at the bottom.
type CenterCrop struct {
	Size          int // height and width in pixels
	Height, Width int // used when Size is 0
}

func (t CenterCrop) sides() (h, w int) {
	switch {
	case t.Size > 0 && t.Height == 0 && t.Width == 0:
		return t.Size, t.Size
	case t.Size == 0 && t.Height > 0 && t.Width > 0:
		return t.Height, t.Width
	}
	panic(tensor.Misusef("transforms.CenterCrop: size %d, height %d and width %d: give the first or the other two", t.Size, t.Height, t.Width))
}

// Apply implements Transform.
func (t CenterCrop) Apply(m Image, _ rand.Source) Image {
	m.check("CenterCrop")
	h, w := t.sides()
	if h == m.Height && w == m.Width {
		return m
	}
	return m.crop(offset(m.Height, h), offset(m.Width, w), h, w)
}

// offset returns the position of the crop along one side. It is negative when the crop is
// larger than the image and begins in the border.
func offset(side, crop int) int {
	if crop > side {
		return -((crop - side) / 2)
	}
	return int(math.RoundToEven(float64(side-crop) / 2)) // as Python's round
}

// crop copies h by w pixels from (top, left). Pixels outside m are black.
func (m Image) crop(top, left, h, w int) Image {
	out := NewImage(m.Channels, h, w)
	from, to := max(left, 0), min(left+w, m.Width)
	if from >= to {
		return out
	}
	for c := range m.Channels {
		src, dst := m.plane(c), out.plane(c)
		for y := max(top, 0); y < min(top+h, m.Height); y++ {
			copy(dst[(y-top)*w+from-left:], src[y*m.Width+from:y*m.Width+to])
		}
	}
	return out
}

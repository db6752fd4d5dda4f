package transforms

import (
	"math/rand/v2"

	"github.com/residual-ml/residual/tensor"
)

// Resize changes an image's sides: the shorter to Size, and the longer in
// proportion, rounded down; or to Height and Width where those are given. The filter
// is Pillow's, antialiased.
type Resize struct {
	Size          int // of the shorter side, in pixels
	Height, Width int // in place of Size
	Interpolation Interpolation
}

// Sides returns the sides that an image of height by width gets. It panics when
// neither Size nor Height and Width are positive.
func (t Resize) Sides(height, width int) (h, w int) {
	switch {
	case t.Size == 0 && t.Height > 0 && t.Width > 0:
		return t.Height, t.Width
	case t.Size < 1 || t.Height != 0 || t.Width != 0:
		panic(tensor.Misusef("transforms.Resize: size %d, height %d and width %d: give the first or the other two", t.Size, t.Height, t.Width))
	}
	short, long := min(height, width), max(height, width)
	// As Python: an exact product, then a division in float64.
	long = int(float64(t.Size*long) / float64(short))
	if width <= height {
		return long, t.Size
	}
	return t.Size, long
}

// Apply implements Transform.
func (t Resize) Apply(m Image, _ rand.Source) Image {
	m.check("Resize")
	h, w := t.Sides(m.Height, m.Width)
	if h == m.Height && w == m.Width {
		return m
	}
	return m.resample(NewResampler(w, h, m.Width, m.Height, t.Interpolation))
}

func (m Image) resample(r *Resampler) Image {
	out := NewImage(m.Channels, r.dh, r.dw)
	s := r.Scratch()
	for c := range m.Channels {
		r.Plane(out.plane(c), m.plane(c), s)
	}
	return out
}

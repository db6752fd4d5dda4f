package transforms

import "math/rand/v2"

// Orient rotates and mirrors an image according to the orientation in its EXIF data, 1 to 8,
// as Pillow's ImageOps.exif_transpose does. Other values do not change the image.
type Orient struct{ Orientation int }

// Apply implements Transform.
func (t Orient) Apply(m Image, _ rand.Source) Image {
	m.check("Orient")
	h, w := m.Height, m.Width
	switch t.Orientation {
	case 2: // mirrored
		return HorizontalFlip{}.Apply(m, nil)
	case 3: // upside down
		return m.remap(h, w, func(y, x int) int { return (h-1-y)*w + w - 1 - x })
	case 4: // mirrored upside down
		return m.remap(h, w, func(y, x int) int { return (h-1-y)*w + x })
	case 5: // transposed
		return m.remap(w, h, func(y, x int) int { return x*w + y })
	case 6: // the top of the scene is on the right
		return m.remap(w, h, func(y, x int) int { return (h-1-x)*w + y })
	case 7: // transposed upside down
		return m.remap(w, h, func(y, x int) int { return (h-1-x)*w + w - 1 - y })
	case 8: // the top of the scene is on the left
		return m.remap(w, h, func(y, x int) int { return x*w + w - 1 - y })
	}
	return m
}

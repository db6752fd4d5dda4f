package transforms

import (
	"cmp"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/residual-ml/residual/tensor"
)

// Sampling says how Affine and Rotate interpolate between pixels. Unlike Interpolation, it
// does not antialias: it uses only the nearest pixels.
type Sampling uint8

// These are the filters of Pillow's Image.transform. SampleNearest is torchvision's default.
const (
	SampleNearest Sampling = iota
	SampleBilinear
	SampleBicubic
)

// Affine rotates, translates, scales and shears an image around its center and keeps its
// size, as torchvision's functional.affine does.
type Affine struct {
	Angle     float64    // degrees, clockwise
	Translate [2]int     // pixels to the right and down
	Scale     float64    // 0 means 1
	Shear     [2]float64 // degrees along x and y
	Center    []float64  // x and y in pixels; nil means the middle
	Sampling  Sampling
	Fill      []uint8 // the colour outside the image: one byte per channel, or one for all; nil means black
}

// Apply implements Transform.
func (t Affine) Apply(m Image, _ rand.Source) Image {
	m.check("Affine")
	cx, cy := center("Affine", t.Center, m)
	scale := cmp.Or(t.Scale, 1)
	if !(scale > 0) {
		panic(tensor.Misusef("transforms.Affine: scale %v; it must be above 0", scale))
	}
	return m.transform("Affine", m.Height, m.Width, inverseAffine(cx, cy, t.Angle, t.Translate, scale, t.Shear), t.Sampling, t.Fill)
}

func center(op string, at []float64, m Image) (x, y float64) {
	switch len(at) {
	case 0:
		return float64(m.Width) / 2, float64(m.Height) / 2
	case 2:
		return at[0], at[1]
	}
	panic(tensor.Misusef("transforms.%s: a center of %d coordinates; give x and y", op, len(at)))
}

// matrix maps a point of the result to a point of the source:
// x' = m[0]x + m[1]y + m[2], y' = m[3]x + m[4]y + m[5].
type matrix [6]float64

// at returns the point of the source for (x, y). It rounds every product, as C does without
// fused instructions.
func (a *matrix) at(x, y float64) (float64, float64) {
	return float64(a[0]*x) + float64(a[1]*y) + a[2], float64(a[3]*x) + float64(a[4]*y) + a[5]
}

func radians(degrees float64) float64 { return float64(degrees * (math.Pi / 180)) }

// inverseAffine is torchvision's functional._get_inverse_affine_matrix.
func inverseAffine(cx, cy, angle float64, translate [2]int, scale float64, shear [2]float64) matrix {
	rot, sx, sy := radians(angle), radians(shear[0]), radians(shear[1])
	tx, ty := float64(translate[0]), float64(translate[1])
	a := math.Cos(rot-sy) / math.Cos(sy)
	b := float64(-math.Cos(rot-sy)*math.Tan(sx))/math.Cos(sy) - math.Sin(rot)
	c := math.Sin(rot-sy) / math.Cos(sy)
	d := float64(-math.Sin(rot-sy)*math.Tan(sx))/math.Cos(sy) + math.Cos(rot)
	m := matrix{d / scale, -b / scale, 0, -c / scale, a / scale, 0}
	m[2] += float64(m[0]*(-cx-tx)) + float64(m[1]*(-cy-ty))
	m[5] += float64(m[3]*(-cx-tx)) + float64(m[4]*(-cy-ty))
	m[2] += cx
	m[5] += cy
	return m
}

// Rotate rotates an image, as Pillow's Image.rotate does.
type Rotate struct {
	Angle    float64   // degrees, counter-clockwise
	Expand   bool      // enlarge the image so that all of the rotated one fits
	Center   []float64 // x and y in pixels; nil means the middle
	Sampling Sampling
	Fill     []uint8 // the colour outside the image, as in Affine
}

// Apply implements Transform.
func (t Rotate) Apply(m Image, _ rand.Source) Image {
	m.check("Rotate")
	angle := math.Mod(t.Angle, 360)
	if angle < 0 {
		angle += 360
	}
	if len(t.Center) == 0 {
		h, w := m.Height, m.Width
		switch quarter := t.Expand || h == w; {
		case angle == 0:
			return m
		case angle == 180:
			return m.remap(h, w, func(y, x int) int { return (h-1-y)*w + w - 1 - x })
		case angle == 90 && quarter:
			return m.remap(w, h, func(y, x int) int { return x*w + w - 1 - y })
		case angle == 270 && quarter:
			return m.remap(w, h, func(y, x int) int { return (h-1-x)*w + y })
		}
	}
	cx, cy := center("Rotate", t.Center, m)
	h, w := m.Height, m.Width
	angle = -radians(angle)
	a := matrix{round15(math.Cos(angle)), round15(math.Sin(angle)), 0, round15(-math.Sin(angle)), round15(math.Cos(angle)), 0}
	a[2], a[5] = a.at(-cx, -cy)
	a[2] += cx
	a[5] += cy
	if t.Expand {
		left, top, right, bottom := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
		for _, corner := range [4][2]int{{0, 0}, {w, 0}, {w, h}, {0, h}} {
			x, y := a.at(float64(corner[0]), float64(corner[1]))
			left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
		}
		nw, nh := int(math.Ceil(right)-math.Floor(left)), int(math.Ceil(bottom)-math.Floor(top))
		a[2], a[5] = a.at(-float64(nw-w)/2, -float64(nh-h)/2)
		h, w = nh, nw
	}
	return m.transform("Rotate", h, w, a, t.Sampling, t.Fill)
}

// round15 rounds the exact value to 15 decimals, as Python's round does.
func round15(v float64) float64 {
	v, err := strconv.ParseFloat(strconv.FormatFloat(v, 'f', 15, 64), 64)
	if err != nil {
		panic(err) // impossible, since FormatFloat wrote the text
	}
	return v
}

// transform is Pillow's Image.transform with an affine matrix (src/libImaging/Geometry.c). The
// result has h by w pixels.
func (m Image) transform(op string, h, w int, a matrix, s Sampling, fill []uint8) Image {
	out := NewImage(m.Channels, h, w)
	for c := range m.Channels {
		if v := colourOf(op, fill, c, m.Channels); v != 0 {
			plane := out.plane(c)
			for i := range plane {
				plane[i] = v
			}
		}
	}
	switch s {
	case SampleNearest:
		m.nearest(out, &a)
	case SampleBilinear, SampleBicubic:
		m.interpolate(out, &a, s)
	default:
		panic(tensor.Misusef("transforms.%s: sampling %d", op, uint8(s)))
	}
	return out
}

// toPixel returns the pixel that contains a coordinate, -1 for a negative one.
func toPixel(v float64) int {
	if v < 0 {
		return -1
	}
	return int(v)
}

// nearest fills out with the nearest pixels. Like Pillow, it advances the coordinates in
// fixed point with 16 fractional bits unless the matrix only scales and translates or the
// coordinates are too large. It adds in the same order, so that sums round alike.
func (m Image) nearest(out Image, a *matrix) {
	put := func(y, x, sy, sx int) {
		if sx >= 0 && sx < m.Width && sy >= 0 && sy < m.Height {
			for c := range m.Channels {
				out.plane(c)[y*out.Width+x] = m.plane(c)[sy*m.Width+sx]
			}
		}
	}
	if a[1] == 0 && a[3] == 0 {
		sy := a[5] + float64(a[4]*0.5)
		for y := range out.Height {
			sx := a[2] + float64(a[0]*0.5)
			for x := range out.Width {
				put(y, x, toPixel(sy), toPixel(sx))
				sx += a[0]
			}
			sy += a[4]
		}
		return
	}
	if a.fitsFixedPoint(out.Height, out.Width) {
		fix := func(v float64) int32 { return int32(math.Floor(float64(v*65536) + 0.5)) }
		rowX, rowY := fix(a[2]+float64(a[0]*0.5)+float64(a[1]*0.5)), fix(a[5]+float64(a[3]*0.5)+float64(a[4]*0.5))
		a0, a1, a3, a4 := fix(a[0]), fix(a[1]), fix(a[3]), fix(a[4])
		for y := range out.Height {
			sx, sy := rowX, rowY
			for x := range out.Width {
				put(y, x, int(sy>>16), int(sx>>16))
				sx += a0
				sy += a3
			}
			rowX += a1
			rowY += a4
		}
		return
	}
	rowX, rowY := a[2]+float64(a[1]*0.5)+float64(a[0]*0.5), a[5]+float64(a[4]*0.5)+float64(a[3]*0.5)
	for y := range out.Height {
		sx, sy := rowX, rowY
		for x := range out.Width {
			put(y, x, toPixel(sy), toPixel(sx))
			sx += a[0]
			sy += a[3]
		}
		rowX += a[1]
		rowY += a[4]
	}
}

// fitsFixedPoint reports whether all coordinates fit in 16.16 fixed point.
func (a *matrix) fitsFixedPoint(h, w int) bool {
	for _, corner := range [4][2]int{{0, 0}, {w, h}, {0, h}, {w, 0}} {
		x, y := a.at(float64(corner[0]), float64(corner[1]))
		if !(math.Abs(x) < 32768 && math.Abs(y) < 32768) {
			return false
		}
	}
	return true
}

// interpolate fills out with pixels interpolated from 2 by 2 or 4 by 4 neighbours. A
// neighbour left or right of the image is the outermost pixel of its row; a row above or
// below the image is the nearest row inside.
func (m Image) interpolate(out Image, a *matrix, s Sampling) {
	first, taps := 0, 2
	if s == SampleBicubic {
		first, taps = -1, 4
	}
	var columns [4]int
	for y := range out.Height {
		for x := range out.Width {
			sx, sy := a.at(float64(x)+0.5, float64(y)+0.5)
			if sx < 0 || sx >= float64(m.Width) || sy < 0 || sy >= float64(m.Height) {
				continue
			}
			fx, fy := math.Floor(sx-0.5), math.Floor(sy-0.5)
			dx, dy := sx-0.5-fx, sy-0.5-fy
			left, top := int(fx)+first, int(fy)+first
			for k := range taps {
				columns[k] = max(min(left+k, m.Width-1), 0)
			}
			for c := range m.Channels {
				plane := m.plane(c)
				var v [4]float64
				for k := range taps {
					row := top + k
					if k > 0 && (row < 0 || row >= m.Height) {
						v[k] = v[k-1]
						continue
					}
					in := plane[max(min(row, m.Height-1), 0)*m.Width:][:m.Width]
					if taps == 2 {
						v[k] = linear(float64(in[columns[0]]), float64(in[columns[1]]), dx)
					} else {
						v[k] = cubic(float64(in[columns[0]]), float64(in[columns[1]]), float64(in[columns[2]]), float64(in[columns[3]]), dx)
					}
				}
				mixed := 0.0
				if taps == 2 {
					mixed = linear(v[0], v[1], dy)
				} else {
					mixed = cubic(v[0], v[1], v[2], v[3], dy)
				}
				out.plane(c)[y*out.Width+x] = uint8(max(min(mixed, 255), 0))
			}
		}
	}
}

func linear(a, b, d float64) float64 { return a + float64((b-a)*d) }

func cubic(a, b, c, e, d float64) float64 {
	p3 := float64(2*(a-b)) + c - e
	p4 := -a + b - c + e
	return b + float64(d*((-a+c)+float64(d*(p3+float64(d*p4)))))
}

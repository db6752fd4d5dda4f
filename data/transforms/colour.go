package transforms

import (
	"math"
	"math/rand/v2"

	"github.com/residual-ml/residual/tensor"
)

// blendByte interpolates between two bytes by alpha, and extrapolates when alpha is above 1.
// It computes in float32 and truncates. Source: Pillow, src/libImaging/Blend.c.
func blendByte(from, to uint8, alpha float32) uint8 {
	v := float32(from) + float32(alpha*float32(int(to)-int(from)))
	return uint8(max(min(v, 255), 0))
}

// factor returns f as float32. It panics unless f is a finite number of at least 0, since
// torchvision refuses others.
func factor(op string, f float64) float32 {
	if !(f >= 0) || math.IsInf(f, 1) {
		panic(tensor.Misusef("transforms.%s: factor %v; it must be a number of at least 0", op, f))
	}
	return float32(f)
}

// AdjustBrightness multiplies every pixel by Factor: 0 gives black, 1 the same image.
type AdjustBrightness struct{ Factor float64 }

// Apply implements Transform.
func (t AdjustBrightness) Apply(m Image, _ rand.Source) Image {
	m.check("AdjustBrightness")
	alpha := factor("AdjustBrightness", t.Factor)
	return m.pointwise(func(v int) uint8 { return blendByte(0, uint8(v), alpha) })
}

// AdjustContrast scales the difference of every pixel from the mean grey of the image by
// Factor: 0 gives that grey, 1 the same image.
type AdjustContrast struct{ Factor float64 }

// Apply implements Transform.
func (t AdjustContrast) Apply(m Image, _ rand.Source) Image {
	m.check("AdjustContrast")
	alpha := factor("AdjustContrast", t.Factor)
	sum := 0
	for i := range m.Height * m.Width {
		sum += int(m.grey(i))
	}
	mean := uint8(float64(sum)/float64(m.Height*m.Width) + 0.5)
	return m.pointwise(func(v int) uint8 { return blendByte(mean, uint8(v), alpha) })
}

// grey returns pixel i in grey, as Pillow's convert("L") does.
func (m Image) grey(i int) uint8 {
	if m.Channels == 1 {
		return m.Pix[i]
	}
	area := m.Height * m.Width
	return luma(m.Pix[i], m.Pix[area+i], m.Pix[2*area+i])
}

// AdjustSaturation scales the difference of every pixel from its own grey by Factor: 0 gives
// a grey image, 1 the same image. It does not change images with one channel.
type AdjustSaturation struct{ Factor float64 }

// Apply implements Transform.
func (t AdjustSaturation) Apply(m Image, _ rand.Source) Image {
	m.check("AdjustSaturation")
	alpha := factor("AdjustSaturation", t.Factor)
	if m.Channels == 1 {
		return m
	}
	out := NewImage(m.Channels, m.Height, m.Width)
	area := m.Height * m.Width
	for i := range area {
		grey := m.grey(i)
		for j := i; j < len(m.Pix); j += area {
			out.Pix[j] = blendByte(grey, m.Pix[j], alpha)
		}
	}
	return out
}

// AdjustHue rotates the hue of every pixel by Factor of a full circle, -0.5 to 0.5. It does
// not change images with one channel.
type AdjustHue struct{ Factor float64 }

// Apply implements Transform.
func (t AdjustHue) Apply(m Image, _ rand.Source) Image {
	m.check("AdjustHue")
	if !(t.Factor >= -0.5 && t.Factor <= 0.5) {
		panic(tensor.Misusef("transforms.AdjustHue: factor %v; it must be from -0.5 to 0.5", t.Factor))
	}
	if m.Channels == 1 {
		return m
	}
	turn := uint8(int(t.Factor * 255))
	out := NewImage(3, m.Height, m.Width)
	r, g, b := m.plane(0), m.plane(1), m.plane(2)
	or, og, ob := out.plane(0), out.plane(1), out.plane(2)
	for i := range r {
		h, s, v := toHSV(r[i], g[i], b[i])
		or[i], og[i], ob[i] = fromHSV(h+turn, s, v)
	}
	return out
}

// toHSV is Pillow's rgb2hsv_row (src/libImaging/Convert.c), with float32 and float64 in the
// same places.
func toHSV(r, g, b uint8) (h, s, v uint8) {
	high, low := max(r, g, b), min(r, g, b)
	if high == low {
		return 0, 0, high
	}
	span := float32(high - low)
	saturation := span / float32(high)
	rc, gc, bc := float32(high-r)/span, float32(high-g)/span, float32(high-b)/span
	var hue float32
	switch high {
	case r:
		hue = bc - gc
	case g:
		hue = float32(2 + float64(rc) - float64(bc))
	default:
		hue = float32(4 + float64(gc) - float64(rc))
	}
	hue = float32(math.Mod(float64(hue)/6+1, 1))
	return uint8(float64(hue) * 255), uint8(float64(saturation) * 255), high
}

// fromHSV is Pillow's hsv2rgb, from the same file.
func fromHSV(h, s, v uint8) (r, g, b uint8) {
	if s == 0 {
		return v, v, v
	}
	sixths := float64(h) * 6 / 255
	sector := math.Floor(sixths)
	f := float32(sixths - sector)
	fs := float32(float64(s) / 255)
	round := func(share float64) uint8 {
		return uint8(max(min(math.Round(float64(v)*share), 255), 0))
	}
	p := round(1 - float64(fs))
	q := round(1 - float64(fs*f))
	t := round(1 - float64(float64(fs)*(1-float64(f))))
	switch int(sector) % 6 {
	case 0:
		return v, t, p
	case 1:
		return q, v, p
	case 2:
		return p, v, t
	case 3:
		return p, q, v
	case 4:
		return t, p, v
	}
	return v, p, q
}

// AdjustSharpness scales the difference of every pixel from a smoothed image by Factor: 0
// gives the smoothed image, 1 the same image, 2 a sharpened one. It does not change the
// outermost pixels.
type AdjustSharpness struct{ Factor float64 }

// Apply implements Transform.
func (t AdjustSharpness) Apply(m Image, _ rand.Source) Image {
	m.check("AdjustSharpness")
	alpha := factor("AdjustSharpness", t.Factor)
	out := NewImage(m.Channels, m.Height, m.Width)
	copy(out.Pix, m.Pix)
	w := m.Width
	for c := range m.Channels {
		in, dst := m.plane(c), out.plane(c)
		for y := 1; y < m.Height-1; y++ {
			for x := 1; x < w-1; x++ {
				i := y*w + x
				dst[i] = blendByte(smooth(in[i-w-1:i-w+2], in[i-1:i+2], in[i+w-1:i+w+2]), in[i], alpha)
			}
		}
	}
	return out
}

// smooth is Pillow's ImageFilter.SMOOTH on 3 by 3 pixels. It adds up the rows from the lowest
// to the highest, as src/libImaging/Filter.c does.
func smooth(above, row, below []uint8) uint8 {
	const one, five = float32(1) / 13, float32(5) / 13
	sum := float32(0.5)
	sum += float32(float32(float32(below[0])*one)+float32(float32(below[1])*one)) + float32(float32(below[2])*one)
	sum += float32(float32(float32(row[0])*one)+float32(float32(row[1])*five)) + float32(float32(row[2])*one)
	sum += float32(float32(float32(above[0])*one)+float32(float32(above[1])*one)) + float32(float32(above[2])*one)
	return uint8(max(min(sum, 255), 0))
}

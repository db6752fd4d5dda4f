package transforms

import (
	"math/rand/v2"

	"github.com/residual-ml/residual/tensor"
)

// lookup replaces every pixel by its value in the table of its channel.
func (m Image) lookup(table func(channel int) *[256]uint8) Image {
	out := NewImage(m.Channels, m.Height, m.Width)
	for c := range m.Channels {
		t, dst := table(c), out.plane(c)
		for i, v := range m.plane(c) {
			dst[i] = t[v]
		}
	}
	return out
}

// pointwise replaces every pixel v by f(v).
func (m Image) pointwise(f func(v int) uint8) Image {
	var t [256]uint8
	for v := range t {
		t[v] = f(v)
	}
	return m.lookup(func(int) *[256]uint8 { return &t })
}

func (m Image) histogram(channel int) (h [256]int) {
	for _, v := range m.plane(channel) {
		h[v]++
	}
	return h
}

// Posterize keeps the highest Bits bits of every pixel, 0 to 8.
type Posterize struct{ Bits int }

// Apply implements Transform.
func (t Posterize) Apply(m Image, _ rand.Source) Image {
	m.check("Posterize")
	if t.Bits < 0 || t.Bits > 8 {
		panic(tensor.Misusef("transforms.Posterize: %d bits of 8", t.Bits))
	}
	mask := uint8(0xff << (8 - t.Bits))
	return m.pointwise(func(v int) uint8 { return uint8(v) & mask })
}

// Solarize inverts all pixels that are at least Threshold.
type Solarize struct{ Threshold float64 }

// Apply implements Transform.
func (t Solarize) Apply(m Image, _ rand.Source) Image {
	m.check("Solarize")
	return m.pointwise(func(v int) uint8 {
		if float64(v) < t.Threshold {
			return uint8(v)
		}
		return uint8(255 - v)
	})
}

// Invert replaces every pixel v by 255-v.
type Invert struct{}

// Apply implements Transform.
func (Invert) Apply(m Image, _ rand.Source) Image {
	m.check("Invert")
	return m.pointwise(func(v int) uint8 { return uint8(255 - v) })
}

// Equalize makes the histogram of each channel as uniform as possible, as Pillow's
// ImageOps.equalize does.
type Equalize struct{}

// Apply implements Transform.
func (Equalize) Apply(m Image, _ rand.Source) Image {
	m.check("Equalize")
	return m.lookup(func(c int) *[256]uint8 {
		h := m.histogram(c)
		last := 255
		for h[last] == 0 {
			last--
		}
		// A channel with a single value has no pixels below it, so the step is 0.
		step := (m.Height*m.Width - h[last]) / 255
		if step == 0 {
			return &identity
		}
		t, n := new([256]uint8), step/2
		for v := range t {
			t[v] = uint8(min(n/step, 255))
			n += h[v]
		}
		return t
	})
}

// AutoContrast stretches each channel so that its darkest pixel becomes 0 and its lightest
// 255, as Pillow's ImageOps.autocontrast does without a cutoff.
type AutoContrast struct{}

// Apply implements Transform.
func (AutoContrast) Apply(m Image, _ rand.Source) Image {
	m.check("AutoContrast")
	return m.lookup(func(c int) *[256]uint8 {
		h := m.histogram(c)
		lo, hi := 0, 255
		for h[lo] == 0 {
			lo++
		}
		for h[hi] == 0 {
			hi--
		}
		if hi <= lo {
			return &identity
		}
		scale := 255 / float64(hi-lo)
		offset := float64(float64(-lo) * scale)
		t := new([256]uint8)
		for v := range t {
			t[v] = uint8(max(min(int(float64(float64(v)*scale)+offset), 255), 0))
		}
		return t
	})
}

var identity = func() (t [256]uint8) {
	for v := range t {
		t[v] = uint8(v)
	}
	return t
}()

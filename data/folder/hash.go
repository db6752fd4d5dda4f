package folder

import (
	"encoding/binary"
	"math/bits"

	"github.com/residual-ml/residual/data/transforms"
)

// side is the height and width to which images are resized before they are compared.
const side = 16

// fingerprint identifies images of the same scene, whatever their size and compression.
type fingerprint struct {
	// rises is the difference hash: one bit for each of 16 by 16 positions, set where the
	// grey value rises to the right. A rise below 4 of 255 does not count, so that noise on
	// an even background sets no bits.
	rises [side * side / 64]uint64
	// colours is the image resized to 16 by 16 pixels.
	colours transforms.Image
	ok      bool // the image could be read
}

func fingerprintOf(m transforms.Image) (l fingerprint) {
	l.ok = true
	m = fewerRows(m)
	small := transforms.Resize{Height: side, Width: side + 1}.Apply(m, nil)
	grey := func(i int) int {
		sum := 0
		for c := range small.Channels {
			sum += int(small.Pix[c*side*(side+1)+i])
		}
		return sum / small.Channels
	}
	for y := range side {
		for x := range side {
			if grey(y*(side+1)+x+1)-grey(y*(side+1)+x) > 3 {
				l.rises[y/4] |= 1 << (y%4*side + x)
			}
		}
	}
	l.colours = transforms.Resize{Height: side, Width: side}.Apply(m, nil)
	return l
}

// fewerRows removes rows of a large image evenly. Fingerprints are means over hundreds of
// pixels, and resizing all of 12 megapixels costs more than decoding them.
func fewerRows(m transforms.Image) transforms.Image {
	const enough = 16 * side
	step := m.Height / enough
	if step < 2 {
		return m
	}
	fewer := transforms.NewImage(m.Channels, m.Height/step, m.Width)
	for c := range m.Channels {
		for y := range fewer.Height {
			copy(fewer.Pix[(c*fewer.Height+y)*m.Width:][:m.Width], m.Pix[(c*m.Height+y*step+step/2)*m.Width:])
		}
	}
	return fewer
}

// maxDiffer is the largest number of bits in which alike images may differ; it is less for
// images with few rises. At least one of the 16 rows is then equal. Rows without a rise do not
// count, since most images with an even background have some.
const maxDiffer = side - 1

// maxColourDistance is the largest mean difference of colours of alike images, of 255.
const maxColourDistance = 6

// alike compares the rises and then the colours, since garments of the same cut have the same
// outline.
func (l *fingerprint) alike(o *fingerprint) bool {
	differ, rises := 0, 0
	for i := range l.rises {
		differ += bits.OnesCount64(l.rises[i] ^ o.rises[i])
		rises += bits.OnesCount64(l.rises[i] | o.rises[i])
	}
	return differ <= min(maxDiffer, rises/3) && l.sharesRow(o) &&
		distance(l.colours.Pix, o.colours.Pix, maxColourDistance*len(l.colours.Pix)) <= maxColourDistance*len(l.colours.Pix)
}

// sharesRow reports whether a row with a rise is equal in both.
func (l *fingerprint) sharesRow(o *fingerprint) bool {
	const row = 1<<side - 1
	for i, a := range l.rises {
		b := o.rises[i]
		for at := 0; at < 64; at += side {
			if k := a >> at & row; k != 0 && k == b>>at&row {
				return true
			}
		}
	}
	return false
}

// distance returns the sum of the absolute differences of a and b. It may stop once the sum
// exceeds limit.
func distance(a, b []uint8, limit int) (sum int) {
	b = b[:len(a)]
	for ; len(a) >= 128; a, b = a[128:], b[128:] {
		if sum += distance128((*[128]uint8)(a), (*[128]uint8)(b)); sum > limit {
			return sum
		}
	}
	for i, v := range a {
		d := int(v) - int(b[i])
		sum += max(d, -d)
	}
	return sum
}

// distance128 computes distance for four values at a time, each in 16 bits of a word.
func distance128(a, b *[128]uint8) int {
	const bytes, ones = 0x00ff00ff00ff00ff, 0x0001000100010001
	var sum uint64
	for i := 0; i < len(a); i += 8 {
		x, y := binary.LittleEndian.Uint64(a[i:]), binary.LittleEndian.Uint64(b[i:])
		for range 2 {
			d := (x&bytes | ones<<8) - y&bytes // the difference plus 256
			below := ^d >> 8 & ones
			sum += d&bytes ^ below*0xff + below // negates the negative ones
			x, y = x>>8, y>>8
		}
	}
	return int(sum * ones >> 48)
}

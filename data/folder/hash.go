package folder

import (
	"encoding/binary"
	"math/bits"

	"github.com/residual-ml/residual/data/transforms"
)

// side is what an image is made smaller to, to be compared.
const side = 16

// look is what tells images of the same scene, whatever their size and compression.
type look struct {
	// rises has a bit for each of 16 by 16 places: whether the grey rises to the right
	// there (the difference hash). A rise below 4 of 255 is none, so that noise on an
	// even ground sets no bits.
	rises [side * side / 64]uint64
	// colours are those of the image made 16 by 16 pixels.
	colours transforms.Image
	ok      bool // the image could be read
}

func lookOf(m transforms.Image) (l look) {
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

// fewerRows leaves out rows of a large image, evenly: what is looked at are means over
// hundreds of pixels, and of 12 megapixels all cost more than their decoding.
func fewerRows(m transforms.Image) transforms.Image {
	const enough = 16 * side
	step := m.Height / enough
	if step < 2 {
		return m
	}
	few := transforms.NewImage(m.Channels, m.Height/step, m.Width)
	for c := range m.Channels {
		for y := range few.Height {
			copy(few.Pix[(c*few.Height+y)*m.Width:][:m.Width], m.Pix[(c*m.Height+y*step+step/2)*m.Width:])
		}
	}
	return few
}

// mostPlaces is the greatest number of places in which alike images differ, and fewer
// when there are few rises. Of 16 rows at least one is then the same. Rows without a rise
// do not count, as most images on an even ground have some.
const mostPlaces = side - 1

// colourNear is how far colours of alike images lie apart on the mean, of 255.
const colourNear = 6

// alike compares outlines, and then colours: garments of one cut have one outline.
func (l *look) alike(o *look) bool {
	differ, rises := 0, 0
	for i := range l.rises {
		differ += bits.OnesCount64(l.rises[i] ^ o.rises[i])
		rises += bits.OnesCount64(l.rises[i] | o.rises[i])
	}
	return differ <= min(mostPlaces, rises/3) && l.sharesRow(o) &&
		apart(l.colours.Pix, o.colours.Pix, colourNear*len(l.colours.Pix)) <= colourNear*len(l.colours.Pix)
}

// sharesRow says whether a row with a rise is the same in both.
func (l *look) sharesRow(o *look) bool {
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

// apart sums how far the values of a and b lie apart. Beyond most it may stop.
func apart(a, b []uint8, most int) (sum int) {
	b = b[:len(a)]
	for ; len(a) >= 128; a, b = a[128:], b[128:] {
		if sum += apart128((*[128]uint8)(a), (*[128]uint8)(b)); sum > most {
			return sum
		}
	}
	for i, v := range a {
		d := int(v) - int(b[i])
		sum += max(d, -d)
	}
	return sum
}

// apart128 is apart, four values at a time, each in 16 bits of a word.
func apart128(a, b *[128]uint8) int {
	const bytes, ones = 0x00ff00ff00ff00ff, 0x0001000100010001
	var sum uint64
	for i := 0; i < len(a); i += 8 {
		x, y := binary.LittleEndian.Uint64(a[i:]), binary.LittleEndian.Uint64(b[i:])
		for range 2 {
			d := (x&bytes | ones<<8) - y&bytes // 256 more than the difference
			below := ^d >> 8 & ones
			sum += d&bytes ^ below*0xff + below // of what is below 0, the opposite
			x, y = x>>8, y>>8
		}
	}
	return int(sum * ones >> 48)
}

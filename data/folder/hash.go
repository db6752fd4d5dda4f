package folder

import (
	"math/bits"

	"github.com/residual-ml/residual/data/transforms"
)

// side is what a picture is made smaller to, to be compared.
const side = 16

// look is what tells pictures of the same scene, whatever their size and compression.
type look struct {
	// rises has a bit for each of 16 by 16 places: whether the grey rises to the right
	// there (the difference hash). A rise below 4 of 255 is none, so that noise on an
	// even ground sets no bits.
	rises [side * side / 64]uint64
	// colours are those of the picture made 16 by 16 pixels.
	colours transforms.Image
	ok      bool // the picture could be read
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

// fewerRows leaves out rows of a large picture, evenly: what is looked at are means over
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

// nearest is the greatest number of places in which alike pictures differ, and fewer
// when there are few rises. Of 16 rows at least one is then the same: only pictures with
// a common row are compared. Rows without a rise do not count, as most pictures on an
// even ground have some.
const nearest = side - 1

// colourNear is how far colours of alike pictures lie apart on the mean, of 255.
const colourNear = 6

// alike compares outlines, and then colours: garments of one cut have one outline.
func (l *look) alike(o *look) bool {
	differ, rises := 0, 0
	for i := range l.rises {
		differ += bits.OnesCount64(l.rises[i] ^ o.rises[i])
		rises += bits.OnesCount64(l.rises[i] | o.rises[i])
	}
	if differ > min(nearest, rises/3) {
		return false
	}
	sum := 0
	for i, v := range l.colours.Pix {
		d := int(v) - int(o.colours.Pix[i])
		sum += max(d, -d)
	}
	return sum <= colourNear*len(l.colours.Pix)
}

// groups numbers pictures so that near-duplicates have the same number: that of the
// first of them.
func groups(looks []look) []int {
	parent := make([]int, len(looks))
	for i := range parent {
		parent[i] = i
	}
	var find func(i int) int
	find = func(i int) int {
		if parent[i] != i {
			parent[i] = find(parent[i])
		}
		return parent[i]
	}
	for row := range side {
		same := map[uint16][]int{}
		for i := range looks {
			key := uint16(looks[i].rises[row/4] >> (row % 4 * side))
			if !looks[i].ok || key == 0 {
				continue
			}
			for _, j := range same[key] {
				if a, b := find(i), find(j); a != b && looks[i].alike(&looks[j]) {
					parent[max(a, b)] = min(a, b)
				}
			}
			same[key] = append(same[key], i)
		}
	}
	for i := range parent {
		parent[i] = find(i)
	}
	return parent
}

package folder

import (
	"math/bits"

	"github.com/residual-ml/residual/data/transforms"
)

// hash tells pictures of the same scene: a bit for each of 16 by 16 places, whether the
// grey rises to the right there. Neither size nor a little compression changes it much
// (the difference hash, in 256 bits).
type hash [4]uint64

// hashOf computes the hash of a picture of any size. A rise below 4 of 255 is none, so
// that noise on an even ground sets no bits.
func hashOf(m transforms.Image) (h hash) {
	small := transforms.Resize{Height: 16, Width: 17}.Apply(m, nil)
	grey := func(i int) int {
		sum := 0
		for c := range small.Channels {
			sum += int(small.Pix[c*16*17+i])
		}
		return sum / small.Channels
	}
	for y := range 16 {
		for x := range 16 {
			if grey(y*17+x+1)-grey(y*17+x) > 3 {
				h[y/4] |= 1 << (y%4*16 + x)
			}
		}
	}
	return h
}

func (h hash) distance(o hash) (n int) {
	for i := range h {
		n += bits.OnesCount64(h[i] ^ o[i])
	}
	return n
}

// even says that a hash tells nothing: the picture has hardly any shape.
func (h hash) even() bool { return h.distance(hash{}) < 12 }

// nearest is the greatest distance of near-duplicates. When at most 15 bits differ, of 16
// rows at least one is the same: only pictures with a common row are compared. Rows
// without a bit do not count, as most pictures on an even ground have some.
const nearest = 15

// groups numbers pictures so that near-duplicates have the same number: of the first of
// them. ok says which pictures have a hash.
func groups(hashes []hash, ok []bool) []int {
	parent := make([]int, len(hashes))
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
	for row := range 16 {
		same := map[uint16][]int{}
		for i, h := range hashes {
			if !ok[i] || h.even() {
				continue
			}
			key := uint16(h[row/4] >> (row % 4 * 16))
			if key == 0 {
				continue
			}
			for _, j := range same[key] {
				if a, b := find(i), find(j); a != b && h.distance(hashes[j]) <= nearest {
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

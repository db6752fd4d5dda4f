package folder

import (
	"bytes"
	"context"
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/residual-ml/residual/internal/rng"
)

// groups numbers images so that near-duplicates have the same number: that of the first
// of them. Near-duplicates are alike, or joined by others that are. The error is the
// context's.
//
// It does not compare each with each. Equal looks are one. Of the others, two that are
// alike differ in few rises, so that in one of a few bands of the places they differ in at
// most one: those that agree in a band but for one place are compared (Norouzi, Punjani
// and Fleet 2012, https://arxiv.org/abs/1307.2982). Where too many agree, because
// the images have little in them, a tree keeps apart what is far from each other.
func groups(ctx context.Context, looks []look) ([]int, error) {
	s := &search{ctx: ctx}
	of, first := s.distinct(looks)
	for differ := 1; differ <= mostPlaces && s.err == nil; differ += 2 {
		s.banded(s.ofRises(differ), (differ+1)/2)
	}
	groupOf := make([]int, len(looks))
	for i := range groupOf {
		if groupOf[i] = i; of[i] >= 0 {
			groupOf[i] = int(first[s.find(of[i])])
		}
	}
	return groupOf, s.err
}

// search looks for looks that are alike. A look is named by its number.
type search struct {
	ctx    context.Context
	err    error // of the context
	looks  []*look
	rises  [][side * side / 64]uint64 // theirs, close together in memory
	counts []int                      // of their rises
	parent []int32                    // towards the first look of the group
	until  int                        // steps to the next look at the context
	// Memory of banded.
	keys, spare []uint64
	many        []bool // looks that agree in a band with too many others
}

// distinct takes the looks that there are, each once. of is the number of each image's,
// -1 for one that is alike to none as it has no rise, and first the first image of a look.
func (s *search) distinct(looks []look) (of, first []int32) {
	of = make([]int32, len(looks))
	seed := maphash.MakeSeed()
	at := make(map[uint64][]int32)
	for i := range looks {
		l := &looks[i]
		if of[i] = -1; !l.ok || l.rises == [len(l.rises)]uint64{} || s.stopped(1) {
			continue
		}
		key := maphash.Comparable(seed, l.rises) ^ maphash.Bytes(seed, l.colours.Pix)
		for _, n := range at[key] {
			if s.rises[n] == l.rises && bytes.Equal(s.looks[n].colours.Pix, l.colours.Pix) {
				of[i] = n
			}
		}
		if of[i] >= 0 {
			continue
		}
		n := int32(len(s.looks))
		of[i], at[key] = n, append(at[key], n)
		count := 0
		for _, w := range l.rises {
			count += bits.OnesCount64(w)
		}
		first = append(first, int32(i))
		s.looks, s.rises, s.counts, s.parent = append(s.looks, l), append(s.rises, l.rises), append(s.counts, count), append(s.parent, n)
	}
	s.many = make([]bool, len(s.looks))
	return of, first
}

// stopped counts steps, and looks at the context now and then.
func (s *search) stopped(steps int) bool {
	if s.until -= steps; s.until < 0 && s.err == nil {
		s.until, s.err = 1<<14, s.ctx.Err()
	}
	return s.err != nil
}

func (s *search) find(i int32) int32 {
	for s.parent[i] != i {
		s.parent[i] = s.parent[s.parent[i]]
		i = s.parent[i]
	}
	return i
}

// join makes one group of two looks that are alike.
func (s *search) join(i, j int32) {
	a, b := s.find(i), s.find(j)
	if a != b && s.looks[i].alike(s.looks[j]) {
		s.parent[max(a, b)] = min(a, b)
	}
}

// joined says whether all are one group already.
func (s *search) joined(all []int32) bool {
	one := s.find(all[0])
	return !slices.ContainsFunc(all[1:], func(i int32) bool { return s.find(i) != one })
}

// compare joins what is alike, each with each.
func (s *search) compare(all []int32) {
	if s.joined(all) || s.stopped(len(all)*len(all)/2) {
		return
	}
	for n, i := range all {
		for _, j := range all[:n] {
			if s.differ(i, j) <= mostPlaces {
				s.join(i, j)
			}
		}
	}
}

// differ counts the places in which the rises of two looks differ.
func (s *search) differ(i, j int32) int {
	a, b := &s.rises[i], &s.rises[j]
	return bits.OnesCount64(a[0]^b[0]) + bits.OnesCount64(a[1]^b[1]) + bits.OnesCount64(a[2]^b[2]) + bits.OnesCount64(a[3]^b[3])
}

// ofRises lists the looks of which two may differ in as many places as differ says, or one
// less, and be alike. Two of a and b rises that differ in d places have (a+b+d)/2 between
// them, so that alike wants d to be at most (a+b)/5; and a and b are at most d apart.
func (s *search) ofRises(differ int) (all []int32) {
	for i, n := range s.counts {
		if 2*n >= 4*differ-5 && (n <= 3*differ+2 || differ == mostPlaces) {
			all = append(all, int32(i))
		}
	}
	return all
}

// few are looks that are compared each with each.
const few = 128

// banded joins those of the looks that are alike and differ in fewer than twice as many
// places as there are bands.
func (s *search) banded(all []int32, bands int) {
	if len(all) <= few {
		if len(all) > 1 {
			s.compare(all)
		}
		return
	}
	for _, places := range s.bands(all, bands) {
		if len(places) == 0 { // all agree there
			s.leave(all)
			break
		}
		s.band(all, places)
	}
	var crowd []int32
	for _, i := range all {
		if s.many[i] {
			crowd, s.many[i] = append(crowd, i), false
		}
	}
	if len(crowd) > 0 && !s.stopped(0) && !s.joined(crowd) {
		newTree(s, crowd).join()
	}
}

// bands divides the places in which some of the looks differ, so that every band tells as
// many of them apart and has places from all over the image.
func (s *search) bands(all []int32, bands int) [][]int {
	var counts [side * side]int
	for _, i := range all {
		for w, v := range s.rises[i] {
			for ; v != 0; v &= v - 1 {
				counts[64*w+bits.TrailingZeros64(v)]++
			}
		}
	}
	var places []int
	for p := range counts {
		if counts[p] = min(counts[p], len(all)-counts[p]); counts[p] > 0 {
			places = append(places, p)
		}
	}
	slices.SortStableFunc(places, func(a, b int) int { return counts[b] - counts[a] })
	divided := make([][]int, bands)
	for n, p := range places {
		b := n % (2 * bands)
		b = min(b, 2*bands-1-b) // there and back
		divided[b] = append(divided[b], p)
	}
	return divided
}

// placeKeys stand for a rise at each place: the key of a band is the sum of those of its
// rises, bit by bit. Equal keys of other rises only cost a comparison.
var placeKeys = func() (keys [side * side]uint32) {
	r := rng.PCG(1, 2)
	for p := range keys {
		keys[p] = r.Uint32()
	}
	return keys
}()

// band compares the looks that agree in the places, but for one at most.
func (s *search) band(all []int32, places []int) {
	rise := func(i int32, p int) uint32 { return -uint32(s.rises[i][p/64] >> (p % 64) & 1) } // all bits, or none
	whole := make([]uint32, len(all))
	for _, p := range places {
		for n, i := range all {
			whole[n] ^= placeKeys[p] & rise(i, p)
		}
	}
	s.keys, s.spare = slices.Grow(s.keys[:0], len(all))[:len(all)], slices.Grow(s.spare[:0], len(all))[:len(all)]
	var with, without []int32
	for nth, p := range places { // the one left out
		for n, i := range all {
			s.keys[n] = uint64(whole[n]^placeKeys[p]&rise(i, p))<<32 | uint64(i)
		}
		sortByKey(s.keys, s.spare)
		if s.stopped(len(all)) {
			return
		}
		for n := 0; n < len(all); {
			key, first := s.keys[n]>>32, n
			for n++; n < len(all) && s.keys[n]>>32 == key; n++ {
			}
			if n-first < 2 {
				continue
			}
			// Two that agree in all places have been compared when the first was left out.
			with, without = with[:0], without[:0]
			for _, k := range s.keys[first:n] {
				if i := int32(uint32(k)); nth == 0 || rise(i, p) != 0 {
					with = append(with, i)
				} else {
					without = append(without, i)
				}
			}
			if nth == 0 {
				s.agree(with)
			} else if len(with) > 0 && len(without) > 0 {
				s.agreeBut(with, without)
			}
		}
	}
}

// agree compares looks that agree in a band, or leaves them for the tree.
func (s *search) agree(same []int32) {
	if len(same) <= few {
		s.compare(same)
	} else if !s.joined(same) {
		s.leave(same)
	}
}

// agreeBut is agree for looks that differ from each other in one place of the band: those
// with a rise there, and those without.
func (s *search) agreeBut(with, without []int32) {
	if len(with)*len(without) <= few*few/4 {
		s.compareBoth(with, without)
	} else if !s.joined(with) || !s.joined(without) || s.find(with[0]) != s.find(without[0]) {
		s.leave(with)
		s.leave(without)
	}
}

func (s *search) leave(all []int32) {
	for _, i := range all {
		s.many[i] = true
	}
}

// compareBoth joins what is alike, each of some with each of others.
func (s *search) compareBoth(some, others []int32) {
	s.stopped(len(some) * len(others))
	for _, i := range some {
		for _, j := range others {
			if s.differ(i, j) <= mostPlaces {
				s.join(i, j)
			}
		}
	}
}

// sortByKey sorts by the upper 32 bits; spare is as long. Two passes over digits leave a
// few keys that begin alike, which are then sorted among themselves.
func sortByKey(keys, spare []uint64) {
	const low, high, digit = 42, 53, 11
	var counts [2][1 << digit]int
	for _, k := range keys {
		counts[0][k>>low&(1<<digit-1)]++
		counts[1][k>>high]++
	}
	from, to := keys, spare
	for d, shift := range []int{low, high} {
		at, sum := &counts[d], 0
		for v := range at {
			at[v], sum = sum, sum+at[v]
		}
		for _, k := range from {
			v := k >> shift & (1<<digit - 1)
			to[at[v]] = k
			at[v]++
		}
		from, to = to, from
	}
	for n := 0; n < len(keys); {
		begin, first := keys[n]>>low, n
		for n++; n < len(keys) && keys[n]>>low == begin; n++ {
		}
		if n-first > 1 {
			slices.Sort(keys[first:n])
		}
	}
}

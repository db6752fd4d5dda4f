package folder

import (
	"bytes"
	"context"
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/residual-ml/residual/internal/rng"
)

// groups returns a group number for each image: the index of the first image of its group of
// near-duplicates. Two images are in one group when they are alike or when a chain of alike
// images connects them. The error is that of the context.
//
// It does not compare all pairs. Equal fingerprints are found by a hash. Two alike
// fingerprints differ in few bits, so when the bits are divided into a few bands, they
// differ in at most one bit of some band. Only fingerprints that agree in a band except for
// one bit are compared (Norouzi, Punjani and Fleet 2012, https://arxiv.org/abs/1307.2982).
// Where too many agree, because the images show little, a tree finds those that are close.
func groups(ctx context.Context, fingerprints []fingerprint) ([]int, error) {
	s := &search{ctx: ctx}
	indexOf, firstImage := s.distinct(fingerprints)
	for differ := 1; differ <= maxDiffer && s.err == nil; differ += 2 {
		s.joinByBands(s.comparable(differ), (differ+1)/2)
	}
	groupOf := make([]int, len(fingerprints))
	for i := range groupOf {
		if groupOf[i] = i; indexOf[i] >= 0 {
			groupOf[i] = int(firstImage[s.find(indexOf[i])])
		}
	}
	return groupOf, s.err
}

// search finds fingerprints that are alike. It refers to a fingerprint by its index.
type search struct {
	ctx          context.Context
	err          error // the error of the context
	fingerprints []*fingerprint
	rises        [][side * side / 64]uint64 // the rises of the fingerprints, contiguous in memory
	counts       []int                      // how many rises each fingerprint has
	parent       []int32                    // union-find: the way to the first fingerprint of the group
	stepsLeft    int                        // steps until the context is checked again
	keys, spare  []uint64                   // buffers of band
	crowded      []bool                     // fingerprints that agree in a band with too many others
}

// distinct adds each different fingerprint once. indexOf holds the index of each image's
// fingerprint, or -1 for an image without rises, which is alike to none. firstImage holds the
// first image of each fingerprint.
func (s *search) distinct(fingerprints []fingerprint) (indexOf, firstImage []int32) {
	indexOf = make([]int32, len(fingerprints))
	seed := maphash.MakeSeed()
	byKey := make(map[uint64][]int32)
	for i := range fingerprints {
		l := &fingerprints[i]
		if indexOf[i] = -1; !l.ok || l.rises == [len(l.rises)]uint64{} || s.stopped(1) {
			continue
		}
		key := maphash.Comparable(seed, l.rises) ^ maphash.Bytes(seed, l.colours.Pix)
		for _, n := range byKey[key] {
			if s.rises[n] == l.rises && bytes.Equal(s.fingerprints[n].colours.Pix, l.colours.Pix) {
				indexOf[i] = n
			}
		}
		if indexOf[i] >= 0 {
			continue
		}
		n := int32(len(s.fingerprints))
		indexOf[i], byKey[key] = n, append(byKey[key], n)
		count := 0
		for _, w := range l.rises {
			count += bits.OnesCount64(w)
		}
		firstImage = append(firstImage, int32(i))
		s.fingerprints, s.rises, s.counts, s.parent = append(s.fingerprints, l), append(s.rises, l.rises), append(s.counts, count), append(s.parent, n)
	}
	s.crowded = make([]bool, len(s.fingerprints))
	return indexOf, firstImage
}

// stopped counts steps and checks the context now and then.
func (s *search) stopped(steps int) bool {
	if s.stepsLeft -= steps; s.stepsLeft < 0 && s.err == nil {
		s.stepsLeft, s.err = 1<<14, s.ctx.Err()
	}
	return s.err != nil
}

// find returns the first fingerprint of the group of i.
func (s *search) find(i int32) int32 {
	for s.parent[i] != i {
		s.parent[i] = s.parent[s.parent[i]]
		i = s.parent[i]
	}
	return i
}

// join joins the groups of two fingerprints if they are alike.
func (s *search) join(i, j int32) {
	a, b := s.find(i), s.find(j)
	if a != b && s.fingerprints[i].alike(s.fingerprints[j]) {
		s.parent[max(a, b)] = min(a, b)
	}
}

// joined reports whether all are in one group already.
func (s *search) joined(all []int32) bool {
	one := s.find(all[0])
	return !slices.ContainsFunc(all[1:], func(i int32) bool { return s.find(i) != one })
}

// compare compares all pairs and joins those that are alike.
func (s *search) compare(all []int32) {
	if s.joined(all) || s.stopped(len(all)*len(all)/2) {
		return
	}
	for n, i := range all {
		for _, j := range all[:n] {
			if s.differ(i, j) <= maxDiffer {
				s.join(i, j)
			}
		}
	}
}

// differ counts the bits in which the rises of two fingerprints differ.
func (s *search) differ(i, j int32) int {
	a, b := &s.rises[i], &s.rises[j]
	return bits.OnesCount64(a[0]^b[0]) + bits.OnesCount64(a[1]^b[1]) + bits.OnesCount64(a[2]^b[2]) + bits.OnesCount64(a[3]^b[3])
}

// comparable lists the fingerprints that can be alike although they differ in differ bits or
// one less. Two fingerprints with a and b rises that differ in d bits have (a+b+d)/2 rises in
// their union, so they can be alike only if d is at most (a+b)/5 and |a-b| is at most d.
func (s *search) comparable(differ int) (all []int32) {
	for i, n := range s.counts {
		if 2*n >= 4*differ-5 && (n <= 3*differ+2 || differ == maxDiffer) {
			all = append(all, int32(i))
		}
	}
	return all
}

// smallGroup is the number of fingerprints up to which all pairs are compared.
const smallGroup = 128

// joinByBands joins the fingerprints that are alike and differ in fewer than 2*bands bits.
func (s *search) joinByBands(all []int32, bands int) {
	if len(all) <= smallGroup {
		if len(all) > 1 {
			s.compare(all)
		}
		return
	}
	for _, places := range s.bands(all, bands) {
		if len(places) == 0 { // all agree in the band
			s.postpone(all)
			break
		}
		s.band(all, places)
	}
	var postponed []int32
	for _, i := range all {
		if s.crowded[i] {
			postponed, s.crowded[i] = append(postponed, i), false
		}
	}
	if len(postponed) > 0 && !s.stopped(0) && !s.joined(postponed) {
		newTree(s, postponed).join()
	}
}

// bands divides the bits in which some of the fingerprints differ into bands that distinguish
// about equally well. Each band has bits from all over the image.
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
		b = min(b, 2*bands-1-b) // forwards and then backwards through the bands
		divided[b] = append(divided[b], p)
	}
	return divided
}

// placeKeys holds a random key for each bit. The key of a band is the XOR of the keys of its
// rises. A collision only costs a comparison.
var placeKeys = func() (keys [side * side]uint32) {
	r := rng.PCG(1, 2)
	for p := range keys {
		keys[p] = r.Uint32()
	}
	return keys
}()

// band compares the fingerprints that agree in a band except for at most one bit.
func (s *search) band(all []int32, places []int) {
	rise := func(i int32, p int) uint32 { return -uint32(s.rises[i][p/64] >> (p % 64) & 1) } // all ones or 0
	bandKeys := make([]uint32, len(all))
	for _, p := range places {
		for n, i := range all {
			bandKeys[n] ^= placeKeys[p] & rise(i, p)
		}
	}
	s.keys, s.spare = slices.Grow(s.keys[:0], len(all))[:len(all)], slices.Grow(s.spare[:0], len(all))[:len(all)]
	var with, without []int32
	for leftOut, p := range places { // the bit that may differ
		for n, i := range all {
			s.keys[n] = uint64(bandKeys[n]^placeKeys[p]&rise(i, p))<<32 | uint64(i)
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
			// Those that agree in all bits were compared when the first bit was left out.
			with, without = with[:0], without[:0]
			for _, k := range s.keys[first:n] {
				if i := int32(uint32(k)); leftOut == 0 || rise(i, p) != 0 {
					with = append(with, i)
				} else {
					without = append(without, i)
				}
			}
			if leftOut == 0 {
				s.agree(with)
			} else if len(with) > 0 && len(without) > 0 {
				s.agreeBut(with, without)
			}
		}
	}
}

// agree compares fingerprints that agree in a band, or postpones them for the tree when there
// are too many.
func (s *search) agree(same []int32) {
	if len(same) <= smallGroup {
		s.compare(same)
	} else if !s.joined(same) {
		s.postpone(same)
	}
}

// agreeBut is agree for fingerprints that differ in one bit of the band: with has those that
// have a rise there.
func (s *search) agreeBut(with, without []int32) {
	if len(with)*len(without) <= smallGroup*smallGroup/4 {
		s.compareBoth(with, without)
	} else if !s.joined(with) || !s.joined(without) || s.find(with[0]) != s.find(without[0]) {
		s.postpone(with)
		s.postpone(without)
	}
}

// postpone leaves fingerprints to the tree.
func (s *search) postpone(all []int32) {
	for _, i := range all {
		s.crowded[i] = true
	}
}

// compareBoth compares each of some with each of others and joins those that are alike.
func (s *search) compareBoth(some, others []int32) {
	s.stopped(len(some) * len(others))
	for _, i := range some {
		for _, j := range others {
			if s.differ(i, j) <= maxDiffer {
				s.join(i, j)
			}
		}
	}
}

// sortByKey sorts keys by their upper 32 bits; spare has the same length. After two passes of
// a radix sort, the few keys with equal leading digits are sorted by comparison.
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

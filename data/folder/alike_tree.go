package folder

import (
	"cmp"
	"slices"
)

// tree holds looks that have little to tell them apart, near ones together. A node is the
// looks within a distance of one; what lies further from another node's than alike looks
// can is not compared, and neither is what is one group already.
type tree struct {
	s    *search
	all  []int32 // in the order of the leaves
	root *node
}

type node struct {
	all         []int32
	centre      int32
	differ      int // places in which any look of it differs from the centre, at most
	apart       int // sum over the colours, likewise
	rises       int // of one look, at most
	left, right *node
	one         bool // its looks are known to be one group, which they stay
}

// leafSize is how many looks are compared each with each.
const leafSize = 24

func newTree(s *search, all []int32) *tree {
	t := &tree{s: s, all: slices.Clone(all)}
	t.root = t.grow(t.all, all[0])
	return t
}

// spread measures a look from a centre in both ways, and as one distance of which the most
// that alike looks may have counts 1 in either.
func (s *search) spread(i, centre int32) (differ, colours, both int) {
	c := s.looks[centre].colours.Pix
	differ, colours = s.differ(i, centre), apart(s.looks[i].colours.Pix, c, 256*len(c))
	return differ, colours, differ*colourNear*len(c) + colours*mostPlaces
}

// grow makes a node, and below it two: those nearer to one and those nearer to another of
// two looks that lie far apart, as many in each.
func (t *tree) grow(all []int32, centre int32) *node {
	n := &node{all: all, centre: centre}
	for _, i := range all {
		if t.s.stopped(8) {
			return n
		}
		d, c, _ := t.s.spread(i, centre)
		n.differ, n.apart, n.rises = max(n.differ, d), max(n.apart, c), max(n.rises, t.s.counts[i])
	}
	if len(all) <= leafSize || t.s.stopped(len(all)) {
		return n
	}
	a := t.farthest(all, all[0])
	b := t.farthest(all, a)
	type place struct {
		nearer int // to a, when it is below 0
		look   int32
	}
	places := make([]place, len(all))
	for n, i := range all {
		if t.s.stopped(16) {
			break
		}
		_, _, fromA := t.s.spread(i, a)
		_, _, fromB := t.s.spread(i, b)
		places[n] = place{fromA - fromB, i}
	}
	if t.s.err != nil {
		return n
	}
	slices.SortFunc(places, func(p, q place) int { return cmp.Or(cmp.Compare(p.nearer, q.nearer), cmp.Compare(p.look, q.look)) })
	for n, p := range places {
		all[n] = p.look
	}
	middle := len(all) / 2
	n.left, n.right = t.grow(all[:middle], a), t.grow(all[middle:], b)
	return n
}

// farthest is about the farthest from a look.
func (t *tree) farthest(all []int32, from int32) (far int32) {
	far, most := from, -1
	for n := 0; n < len(all); n += 1 + len(all)/256 {
		if _, _, d := t.s.spread(all[n], from); d > most {
			far, most = all[n], d
		}
	}
	return far
}

func (t *tree) join() { t.within(t.root) }

// within joins what is alike in a node.
func (t *tree) within(n *node) {
	if t.s.stopped(1) || t.isOne(n) {
		return
	}
	if n.left == nil {
		t.s.compare(n.all)
		return
	}
	t.within(n.left)
	t.within(n.right)
	t.between(n.left, n.right)
}

// between joins what is alike in two nodes.
func (t *tree) between(a, b *node) {
	if t.s.stopped(1) || t.isOne(a) && t.isOne(b) && t.s.find(a.all[0]) == t.s.find(b.all[0]) || t.farApart(a, b) {
		return
	}
	switch {
	case a.left == nil && b.left == nil:
		t.s.compareBoth(a.all, b.all)
	case b.left == nil || a.left != nil && len(a.all) >= len(b.all):
		t.between(a.left, b)
		t.between(a.right, b)
	default:
		t.between(a, b.left)
		t.between(a, b.right)
	}
}

// isOne says whether the looks of a node are known to be one group.
func (t *tree) isOne(n *node) bool {
	switch {
	case n.one:
	case n.left == nil:
		n.one = t.s.joined(n.all)
	default:
		n.one = t.isOneBelow(n.left) && t.isOneBelow(n.right) && t.s.find(n.left.all[0]) == t.s.find(n.right.all[0])
	}
	return n.one
}

// isOneBelow is isOne by what is known already, so that it does not walk down.
func (t *tree) isOneBelow(n *node) bool {
	return n.one || n.left == nil && t.isOne(n) || n.left != nil && n.left.one && n.right.one && t.s.find(n.left.all[0]) == t.s.find(n.right.all[0])
}

// farApart says whether no look of a can be alike to one of b: by the triangle's inequality.
func (t *tree) farApart(a, b *node) bool {
	differ := t.s.differ(a.centre, b.centre) - a.differ - b.differ
	if differ > min(mostPlaces, (a.rises+b.rises)/5) {
		return true
	}
	pa, pb := t.s.looks[a.centre].colours.Pix, t.s.looks[b.centre].colours.Pix
	most := colourNear*len(pa) + a.apart + b.apart
	return apart(pa, pb, most) > most
}

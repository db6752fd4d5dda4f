package folder

import (
	"cmp"
	"slices"
)

// tree is a metric tree of fingerprints that bands cannot tell apart. A node holds the
// fingerprints within a distance of its centre. Two nodes are not compared when they are too
// far apart for alike fingerprints, or when both are in one group already.
type tree struct {
	s    *search
	all  []int32 // the fingerprints in the order of the leaves
	root *node
}

type node struct {
	all         []int32
	centre      int32
	maxDiffer   int // the most bits in which a fingerprint of the node differs from the centre
	maxColours  int // the largest distance of colours from the centre
	maxRises    int // the most rises of a fingerprint
	left, right *node
	oneGroup    bool // all fingerprints are known to be in one group
}

// leafSize is the largest number of fingerprints in a leaf, where all pairs are compared.
const leafSize = 24

func newTree(s *search, all []int32) *tree {
	t := &tree{s: s, all: slices.Clone(all)}
	t.root = t.grow(t.all, all[0])
	return t
}

// spread measures the distance of a fingerprint from a centre in bits, in colours and in both.
// In both, the largest distances of alike fingerprints in bits and in colours weigh the same.
func (s *search) spread(i, centre int32) (differ, colours, both int) {
	c := s.fingerprints[centre].colours.Pix
	differ, colours = s.differ(i, centre), distance(s.fingerprints[i].colours.Pix, c, 256*len(c))
	return differ, colours, differ*maxColourDistance*len(c) + colours*maxDiffer
}

// grow makes a node. It divides a large node into two halves: those nearer to one and those
// nearer to the other of two fingerprints that are far apart.
func (t *tree) grow(all []int32, centre int32) *node {
	n := &node{all: all, centre: centre}
	for _, i := range all {
		if t.s.stopped(8) {
			return n
		}
		d, c, _ := t.s.spread(i, centre)
		n.maxDiffer, n.maxColours, n.maxRises = max(n.maxDiffer, d), max(n.maxColours, c), max(n.maxRises, t.s.counts[i])
	}
	if len(all) <= leafSize || t.s.stopped(len(all)) {
		return n
	}
	a := t.farthest(all, all[0])
	b := t.farthest(all, a)
	type distance struct {
		nearer int // to a, when it is below 0
		index  int32
	}
	distances := make([]distance, len(all))
	for n, i := range all {
		if t.s.stopped(16) {
			break
		}
		_, _, fromA := t.s.spread(i, a)
		_, _, fromB := t.s.spread(i, b)
		distances[n] = distance{fromA - fromB, i}
	}
	if t.s.err != nil {
		return n
	}
	slices.SortFunc(distances, func(p, q distance) int { return cmp.Or(cmp.Compare(p.nearer, q.nearer), cmp.Compare(p.index, q.index)) })
	for n, p := range distances {
		all[n] = p.index
	}
	middle := len(all) / 2
	n.left, n.right = t.grow(all[:middle], a), t.grow(all[middle:], b)
	return n
}

// farthest returns a fingerprint that is about the farthest from another one.
func (t *tree) farthest(all []int32, from int32) (far int32) {
	far, largest := from, -1
	for n := 0; n < len(all); n += 1 + len(all)/256 {
		if _, _, d := t.s.spread(all[n], from); d > largest {
			far, largest = all[n], d
		}
	}
	return far
}

func (t *tree) join() { t.within(t.root) }

// within joins the fingerprints of a node that are alike.
func (t *tree) within(n *node) {
	if t.s.stopped(1) || t.isOneGroup(n) {
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

// between joins the fingerprints of two nodes that are alike.
func (t *tree) between(a, b *node) {
	if t.s.stopped(1) || t.isOneGroup(a) && t.isOneGroup(b) && t.s.find(a.all[0]) == t.s.find(b.all[0]) || t.farApart(a, b) {
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

// isOneGroup reports whether the fingerprints of a node are known to be one group.
func (t *tree) isOneGroup(n *node) bool {
	switch {
	case n.oneGroup:
	case n.left == nil:
		n.oneGroup = t.s.joined(n.all)
	default:
		n.oneGroup = t.knownOneGroup(n.left) && t.knownOneGroup(n.right) && t.s.find(n.left.all[0]) == t.s.find(n.right.all[0])
	}
	return n.oneGroup
}

// knownOneGroup is isOneGroup without descending: it uses only what is known already.
func (t *tree) knownOneGroup(n *node) bool {
	return n.oneGroup || n.left == nil && t.isOneGroup(n) || n.left != nil && n.left.oneGroup && n.right.oneGroup && t.s.find(n.left.all[0]) == t.s.find(n.right.all[0])
}

// farApart reports whether the triangle inequality excludes that a fingerprint of a is alike
// to one of b.
func (t *tree) farApart(a, b *node) bool {
	differ := t.s.differ(a.centre, b.centre) - a.maxDiffer - b.maxDiffer
	if differ > min(maxDiffer, (a.maxRises+b.maxRises)/5) {
		return true
	}
	pa, pb := t.s.fingerprints[a.centre].colours.Pix, t.s.fingerprints[b.centre].colours.Pix
	limit := maxColourDistance*len(pa) + a.maxColours + b.maxColours
	return distance(pa, pb, limit) > limit
}

package rng

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestBits holds the numbers on which weights and batches depend.
func TestBits(t *testing.T) {
	var s Stream
	s.Seed(7, 1, 3, "residual")
	if got := IntN(&s, 1000); got != 33 {
		t.Errorf("IntN gives %d", got)
	}
	if got := Between(&s, -1, 3); got != 0.5294498731176014 {
		t.Errorf("Between gives %v", got)
	}
	if Chance(&s, 0.5) {
		t.Error("Chance is true")
	}
	if got, want := Permutation(&s, 12), []int32{3, 4, 1, 5, 2, 0, 7, 8, 10, 9, 11, 6}; !slices.Equal(got, want) {
		t.Errorf("Permutation gives %v", got)
	}
	s.Seed(7, 2, 5, "picture.")
	if a, b := s.Uint64(), s.Uint64(); a != 10871186730746808967 || b != 9912166870528008821 {
		t.Errorf("another purpose gives %d, %d", a, b)
	}
	n := Named(5, "conv1.weight")
	if a, b, c := n.Uint64(), n.Uint64(), Float64(&n); a != 376600727176456505 || b != 14655366644646766244 || c != 0.2516129568452111 {
		t.Errorf("SplitMix gives %d, %d, %v", a, b, c)
	}
	if n := Named(0, ""); n.Uint64() != 6566800829925814604 {
		t.Error("another seed gives other numbers")
	}
	if a, b := Unforeseen(), Unforeseen(); a == b {
		t.Errorf("twice %d", a)
	}
}

// TestDistributions counts what each function gives.
func TestDistributions(t *testing.T) {
	for name, s := range map[string]rand.Source{"ChaCha8": new(Stream), "SplitMix": new(SplitMix), "PCG": PCG(1, 2)} {
		var counts [10]int
		high := 0
		for range 10000 {
			counts[IntN(s, 10)]++
			if Between(s, -1, 3) >= 1 {
				high++
			}
		}
		for n, c := range counts {
			if c < 850 || c > 1150 {
				t.Errorf("%s: %d of 10000 are %d", name, c, n)
			}
		}
		if high < 4800 || high > 5200 {
			t.Errorf("%s: %d of 10000 are in the upper half", name, high)
		}
		p := Permutation(s, 100)
		slices.Sort(p)
		for i, v := range p {
			if int(v) != i {
				t.Fatalf("%s: no permutation", name)
			}
		}
	}
}

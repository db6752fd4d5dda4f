// Package rng has every random generator of this module. None has state of its own: the same
// arguments give the same numbers on every machine, in every Go version and for any number of
// threads, and so the same weights, batches and files. The numbers are part of what users
// recorded, so each use keeps its generator:
//
//   - Stream, which is ChaCha8, for what depends on a seed and an index: the order of an epoch,
//     the augmentation of an image, the images of a made data set.
//   - SplitMix, for initial weights, and its step Mix, for the masks of dropout, which every
//     device computes by itself from an element's index.
//   - PCG, for numbers behind two seeds: the noise of random erasing, the groups of an
//     ablation study, the images that calibrate a quantised model, and the inputs of
//     measurements and tests.
//
// Unforeseen alone differs at every call.
package rng

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// Stream is ChaCha8, keyed by Seed; the zero value must be seeded.
type Stream struct{ chacha rand.ChaCha8 }

// Seed starts the numbers of three words and a purpose of at most 8 bytes. Other words or
// another purpose give other numbers.
func (s *Stream) Seed(a, b, c uint64, purpose string) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], a)
	binary.LittleEndian.PutUint64(key[8:], b)
	binary.LittleEndian.PutUint64(key[16:], c)
	copy(key[24:], purpose)
	s.chacha.Seed(key)
}

// Uint64 implements rand.Source.
func (s *Stream) Uint64() uint64 { return s.chacha.Uint64() }

// SplitMix is the generator of Steele, Lea and Flood ("Fast Splittable Pseudorandom Number
// Generators", 2014, figure 17). Its value is its state.
type SplitMix uint64

// Named returns the generator for a seed and a name.
func Named(seed uint64, name string) SplitMix {
	h := uint64(0xcbf29ce484222325) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	return SplitMix(Mix(seed) ^ h)
}

const golden = 0x9e3779b97f4a7c15 // by which SplitMix's state grows

// Uint64 implements rand.Source.
func (s *SplitMix) Uint64() uint64 {
	z := Mix(uint64(*s))
	*s += golden
	return z
}

// Mix is the number that SplitMix gives in the state z.
func Mix(z uint64) uint64 {
	z += golden
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// PCG returns the numbers of math/rand/v2's PCG for two seeds.
func PCG(a, b uint64) *rand.Rand { return rand.New(rand.NewPCG(a, b)) }

// Of returns the distributions of math/rand/v2 over the bits of s.
func Of(s rand.Source) *rand.Rand { return rand.New(s) }

// Unforeseen returns a number that is another at every call, as for the name of a temporary
// file.
func Unforeseen() uint64 { return rand.Uint64() }

// IntN returns a number in 0..n-1; its bias, below n/2^64, is of no account here.
func IntN(s rand.Source, n int) int {
	hi, _ := bits.Mul64(s.Uint64(), uint64(n))
	return int(hi)
}

// Float64 returns a number in [0, 1).
func Float64(s rand.Source) float64 { return float64(s.Uint64()>>11) / (1 << 53) }

// Between returns a number in [lo, hi).
func Between(s rand.Source, lo, hi float64) float64 { return lo + float64((hi-lo)*Float64(s)) }

// Chance is true with probability p.
func Chance(s rand.Source, p float64) bool { return Between(s, 0, 1) < p }

// Permutation returns 0..n-1 in random order (Fisher and Yates).
func Permutation(s rand.Source, n int) []int32 {
	p := make([]int32, n)
	for i := range p {
		j := IntN(s, i+1)
		p[i] = p[j]
		p[j] = int32(i)
	}
	return p
}

package data

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// These are the streams of random numbers. Each one keys the generator differently, so two
// streams never share numbers, whatever the seed.
const (
	streamOrder  = 1 + iota // the order of an epoch
	streamTrain             // generated training images
	streamTest              // generated test images
	streamSample            // the images of an epoch of WeightedSampler
)

// random is a random generator that depends only on (seed, stream, index). It is ChaCha8,
// whose output is specified: the same on every platform and in every Go version.
type random struct{ src rand.ChaCha8 }

func (r *random) reset(seed, stream, index uint64) {
	key := [32]byte{24: 'r', 'e', 's', 'i', 'd', 'u', 'a', 'l'}
	binary.LittleEndian.PutUint64(key[0:], seed)
	binary.LittleEndian.PutUint64(key[8:], stream)
	binary.LittleEndian.PutUint64(key[16:], index)
	r.src.Seed(key)
}

// intn returns a number in 0..n-1. Its bias is below n/2^64, which does not matter here.
func (r *random) intn(n int) int {
	hi, _ := bits.Mul64(r.src.Uint64(), uint64(n))
	return int(hi)
}

// between returns a number in [lo, hi).
func (r *random) between(lo, hi float64) float64 {
	unit := float64(r.src.Uint64()>>11) / (1 << 53)
	return lo + float64((hi-lo)*unit)
}

// chance is true with probability p.
func (r *random) chance(p float64) bool { return r.between(0, 1) < p }

// permutation returns 0..n-1 in random order, by the Fisher-Yates shuffle.
func (r *random) permutation(n int) []int32 {
	p := make([]int32, n)
	for i := range p {
		j := r.intn(i + 1)
		p[i] = p[j]
		p[j] = int32(i)
	}
	return p
}

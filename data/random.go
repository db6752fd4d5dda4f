package data

import "github.com/residual-ml/residual/internal/rng"

// These are the streams of random numbers. Each one keys the generator differently, so two
// streams never share numbers, whatever the seed.
const (
	streamOrder  = 1 + iota // the order of an epoch
	streamTrain             // generated training images
	streamTest              // generated test images
	streamSample            // the images of an epoch of WeightedSampler
)

// random is a random generator that depends only on (seed, stream, index).
type random struct{ src rng.Stream }

func (r *random) reset(seed, stream, index uint64) { r.src.Seed(seed, stream, index, "residual") }
func (r *random) intn(n int) int                   { return rng.IntN(&r.src, n) }
func (r *random) between(lo, hi float64) float64   { return rng.Between(&r.src, lo, hi) }
func (r *random) chance(p float64) bool            { return rng.Chance(&r.src, p) }
func (r *random) permutation(n int) []int32        { return rng.Permutation(&r.src, n) }

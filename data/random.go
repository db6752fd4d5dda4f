package data

import "github.com/residual-ml/residual/internal/rng"

// The streams of random numbers. Each has a key of its own, so no two share a draw
// whatever the seed.
const (
	streamOrder = 1 + iota // of an epoch
	streamTrain            // images drawn for training
	streamTest             // images drawn for testing
)

// random is the stream of numbers of (seed, stream, index).
type random struct{ src rng.Stream }

func (r *random) reset(seed, stream, index uint64) { r.src.Seed(seed, stream, index, "residual") }
func (r *random) intn(n int) int                   { return rng.IntN(&r.src, n) }
func (r *random) between(lo, hi float64) float64   { return rng.Between(&r.src, lo, hi) }
func (r *random) chance(p float64) bool            { return rng.Chance(&r.src, p) }
func (r *random) permutation(n int) []int32        { return rng.Permutation(&r.src, n) }

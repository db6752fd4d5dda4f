//go:build race

package data

// raceEnabled reports whether the race detector is on. With it, sync.Pool drops values at
// random.
const raceEnabled = true

//go:build race

package data

// raceEnabled says that the race detector is on, under which sync.Pool drops
// what it holds at random.
const raceEnabled = true

//go:build !linux && !noasm

package kernel

// permitTiles reports false: it is not known whether this system saves tiles when it
// switches threads.
func permitTiles() bool { return false }

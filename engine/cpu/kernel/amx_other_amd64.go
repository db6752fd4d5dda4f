//go:build !linux && !noasm

package kernel

// permitTiles reports that tiles are not used on this system, which would have
// to save them when it changes threads.
func permitTiles() bool { return false }

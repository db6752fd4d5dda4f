//go:build !linux && !darwin

package host

// PeakMemory returns 0: the most bytes the process has had in memory at once are
// not known on this system.
func PeakMemory() int64 { return 0 }

//go:build !linux && !darwin

package host

// PeakMemory returns 0: the largest resident size of this process is not known on this
// system.
func PeakMemory() int64 { return 0 }

package host

import "syscall"

// PeakMemory returns the largest resident size of this process so far in bytes
// (ru_maxrss of getrusage(2)), or 0 if the system does not tell it.
func PeakMemory() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss
}

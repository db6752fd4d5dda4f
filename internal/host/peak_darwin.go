package host

import "syscall"

// PeakMemory returns the most bytes the process has had in memory at once
// (ru_maxrss of getrusage(2), in bytes on this system), or 0 where the system
// does not say.
func PeakMemory() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss
}

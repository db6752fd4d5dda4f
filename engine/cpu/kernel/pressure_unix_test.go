//go:build unix

package kernel

import (
	"os"
	"syscall"
)

// interrupt interrupts some thread of the process.
func interrupt() { syscall.Kill(os.Getpid(), syscall.SIGURG) }

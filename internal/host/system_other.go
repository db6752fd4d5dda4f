//go:build !darwin

package host

import "os"

// systemCPU is what Windows says of the CPU; Linux says more in /proc.
func systemCPU() string { return os.Getenv("PROCESSOR_IDENTIFIER") }

// systemMemory is 0, for unknown.
func systemMemory() int64 { return 0 }

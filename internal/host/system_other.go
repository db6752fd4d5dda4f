//go:build !darwin

package host

import "os"

// systemCPU returns the description that Windows has of the CPU. Linux has a better one in
// /proc.
func systemCPU() string { return os.Getenv("PROCESSOR_IDENTIFIER") }

// systemMemory returns 0, which means unknown.
func systemMemory() int64 { return 0 }

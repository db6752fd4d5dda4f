//go:build !linux

package regular

import "os"

// ofKernel is about Linux's /proc and what is like it.
func ofKernel(*os.File) bool { return false }

//go:build !linux

package regular

import "os"

// ofKernel reports false, since only Linux has /proc and similar file systems.
func ofKernel(*os.File) bool { return false }

//go:build !linux && !darwin && !windows

package folder

import "errors"

// freeBytes would be what this user may still write to the disk that a folder is on.
func freeBytes(string) (int64, error) { return 0, errors.ErrUnsupported }

//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package elements

import (
	"errors"
	"os"
)

// mapFile maps nothing: files are read. Windows, for one, would not let another
// program replace a file that is mapped.
func mapFile(*os.File, int) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmap([]byte) error { return nil }

package folder

import (
	"errors"
	"fmt"
	"time"
)

// Mark identifies the content of a file as it was read, to notice later changes.
type Mark struct {
	Bytes    int64
	Modified time.Time
	SHA256   string // of the content, in hexadecimal; empty when the file was never read
	// Identity is a string of the file system that changes whenever the file does. It is empty
	// on file systems that do not provide it.
	Identity string `json:",omitempty"`
}

// ErrChanged means that an image is no longer the one that was read before, so that results
// since then belong to neither version.
var ErrChanged = errors.New("has changed since it was first read")

// differs returns an ErrChanged if the present mark of a file has other content. A mark of a
// file that was never read differs from none.
func (m Mark) differs(now Mark, path string) error {
	if m.SHA256 == "" || m.SHA256 == now.SHA256 {
		return nil
	}
	return fmt.Errorf("image %s: %w", path, ErrChanged)
}

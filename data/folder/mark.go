package folder

import (
	"errors"
	"fmt"
	"time"
)

// Mark tells whether a file is still the one that was read before.
type Mark struct {
	Bytes    int64
	Modified time.Time
	SHA256   string // of the content, in hexadecimal; empty means that the file was never read
	// Identity is what the file system had when the content was read, where it can tell the
	// file from any other and from itself with other content; else it is empty.
	Identity string `json:",omitempty"`
}

// ErrChanged is an image that is not the one that was read before. Whatever was made
// of it since is of neither.
var ErrChanged = errors.New("has changed since it was first read")

// differs compares a file's mark with what it was. A file that was never read differs
// from none.
func (was Mark) differs(is Mark, path string) error {
	if was.SHA256 == "" || was.SHA256 == is.SHA256 {
		return nil
	}
	return fmt.Errorf("image %s: %w", path, ErrChanged)
}

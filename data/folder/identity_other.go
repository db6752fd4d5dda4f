//go:build !linux && !darwin && !windows

package folder

import (
	"io/fs"
	"time"
)

// fileIdentity trusts no file system here, so files are identified by their content.
func fileIdentity(string, fs.FileInfo) (id string, changed time.Time) { return "", changed }

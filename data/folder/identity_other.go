//go:build !linux && !darwin && !windows

package folder

import (
	"io/fs"
	"time"
)

// fileIdentity knows no file system to trust here: files are told by their content.
func fileIdentity(string, fs.FileInfo) (id string, changed time.Time) { return "", changed }

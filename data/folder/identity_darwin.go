package folder

import (
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"
)

// trustedFileSystems lists the file systems that record the time of every change of a file.
var trustedFileSystems = []string{"apfs", "hfs"}

// fileIdentity returns the device, inode number and time of change of a file.
func fileIdentity(path string, st fs.FileInfo) (id string, changed time.Time) {
	s, ok := st.Sys().(*syscall.Stat_t)
	var system syscall.Statfs_t
	if !ok || syscall.Statfs(path, &system) != nil {
		return "", changed
	}
	var name []byte
	for _, c := range system.Fstypename {
		if c == 0 {
			break
		}
		name = append(name, byte(c))
	}
	if !slices.Contains(trustedFileSystems, string(name)) {
		return "", changed
	}
	sec, nsec := s.Ctimespec.Unix()
	return fmt.Sprintf("%x-%x-%x", s.Dev, s.Ino, sec*1e9+nsec), time.Unix(sec, nsec)
}

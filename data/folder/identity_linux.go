package folder

import (
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"syscall"
	"time"
)

// keepsChanges are the file systems that note the time of every change of a file, of its
// name included, by their numbers in linux/magic.h. Others, such as FAT and what is mounted
// over SSH, give the time of the content for it, which a copy may be given.
var keepsChanges = []uint32{
	0xef53,     // ext2, ext3, ext4
	0x58465342, // xfs
	0x9123683e, // btrfs
	0x01021994, // tmpfs
	0x794c7630, // overlay
	0xf2f52010, // f2fs
	0x2fc12fc1, // zfs
	0xca451a4e, // bcachefs
	0x6969,     // nfs
}

var devices sync.Map // number of a device → whether its file system keeps changes

// fileIdentity returns a file's device, number and time of change.
func fileIdentity(path string, st fs.FileInfo) (id string, changed time.Time) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return "", changed
	}
	keeps, known := devices.Load(s.Dev)
	if !known {
		var system syscall.Statfs_t
		if err := syscall.Statfs(path, &system); err != nil {
			return "", changed
		}
		keeps = slices.Contains(keepsChanges, uint32(system.Type))
		devices.Store(s.Dev, keeps)
	}
	if !keeps.(bool) {
		return "", changed
	}
	sec, nsec := s.Ctim.Unix()
	return fmt.Sprintf("%x-%x-%x", s.Dev, s.Ino, sec*1e9+nsec), time.Unix(sec, nsec)
}

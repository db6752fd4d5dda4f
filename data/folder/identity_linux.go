package folder

import (
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"syscall"
	"time"
)

// trustedFileSystems lists, by their numbers in linux/magic.h, the file systems that record
// the time of every change of a file, including its name. Others, such as FAT and SSHFS,
// return the modification time instead, which a program can set.
var trustedFileSystems = []uint32{
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

var trustedDevices sync.Map // device number → whether its file system is trusted

// fileIdentity returns the device, inode number and time of change of a file.
func fileIdentity(path string, st fs.FileInfo) (id string, changed time.Time) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return "", changed
	}
	trusted, known := trustedDevices.Load(s.Dev)
	if !known {
		var system syscall.Statfs_t
		if err := syscall.Statfs(path, &system); err != nil {
			return "", changed
		}
		trusted = slices.Contains(trustedFileSystems, uint32(system.Type))
		trustedDevices.Store(s.Dev, trusted)
	}
	if !trusted.(bool) {
		return "", changed
	}
	sec, nsec := s.Ctim.Unix()
	return fmt.Sprintf("%x-%x-%x", s.Dev, s.Ino, sec*1e9+nsec), time.Unix(sec, nsec)
}

package regular

import (
	"os"
	"slices"
	"syscall"
)

// kernelSystems are the file systems whose files the kernel generates, by their numbers in
// linux/magic.h. Some of their files are called regular although reading them waits for new
// data, such as /proc/kmsg and trace_pipe.
var kernelSystems = []uint32{
	0x9fa0,     // proc
	0x62656572, // sysfs
	0x64626720, // debugfs
	0x74726163, // tracefs
	0x73636673, // securityfs
	0x62656570, // configfs
	0x27e0eb,   // cgroup
	0x63677270, // cgroup2
}

// ofKernel reports whether the kernel generates the content of a file when it is read.
func ofKernel(f *os.File) bool {
	c, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var st syscall.Statfs_t
	failed := c.Control(func(fd uintptr) { err = syscall.Fstatfs(int(fd), &st) })
	return failed == nil && err == nil && slices.Contains(kernelSystems, uint32(st.Type))
}

package hugepages

import (
	"syscall"
	"unsafe"
)

// hugePage is the size of a huge page on amd64, and on arm64 with base pages of 4 KiB.
const hugePage = 2 << 20

// least is the size in bytes from which memory is worth the system call.
const least = 1 << 20

func advise(m []float32) {
	if 4*len(m) < least {
		return
	}
	// The pages at both ends are shared with neighbouring allocations, which are probably large,
	// too: the weights of a model are read one after the other. The advice changes no content.
	start := uintptr(unsafe.Pointer(unsafe.SliceData(m)))
	end := start + 4*uintptr(len(m))
	start &^= hugePage - 1
	end = (end + hugePage - 1) &^ (hugePage - 1)
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, end-start, syscall.MADV_HUGEPAGE)
}

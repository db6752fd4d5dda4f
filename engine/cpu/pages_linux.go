package cpu

import (
	"syscall"
	"unsafe"
)

// hugePage is the size of a huge page on amd64, and on arm64 with base pages of 4 KiB.
const hugePage = 2 << 20

// advise asks the system to use huge pages for memory that nobody has written yet. With
// small pages, reading tens of megabytes is slowed by address translation, and the
// processor's prefetching stops at every page. The system may ignore the advice.
func advise(m []float32) {
	if 4*len(m) < 2*hugePage {
		return
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(m))), 4*len(m))
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % hugePage)
	size := (len(b) - skip) / hugePage * hugePage
	if size > 0 {
		_ = syscall.Madvise(b[skip:skip+size], syscall.MADV_HUGEPAGE)
	}
}

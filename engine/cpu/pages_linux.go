package cpu

import (
	"syscall"
	"unsafe"
)

// hugePage is the size of the large pages of amd64 and arm64 with small pages of
// 4 KiB.
const hugePage = 2 << 20

// advise asks for large pages under memory that nobody has written yet. With small
// ones, walks over tens of megabytes wait for translations of addresses, and the
// processor's prefetching ends at every page. It is no more than advice: where the
// system does not follow it, nothing changes.
func advise(m []float32) {
	if 4*len(m) < 2*hugePage {
		return
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(m))), 4*len(m))
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % hugePage)
	whole := (len(b) - skip) / hugePage * hugePage
	if whole > 0 {
		_ = syscall.Madvise(b[skip:skip+whole], syscall.MADV_HUGEPAGE)
	}
}

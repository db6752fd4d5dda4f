//go:build linux || darwin

package kernel

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guarded returns n floats that end where an unreadable page begins, so that a
// read or write past them is a fault. What lies before them is checked when
// the test ends.
func guarded(t testing.TB, n int) []float32 {
	t.Helper()
	page := unix.Getpagesize()
	size := (4*(n+band) + page - 1) / page * page
	m, err := unix.Mmap(-1, 0, size+page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mprotect(m[size:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	all := unsafe.Slice((*float32)(unsafe.Pointer(&m[0])), size/4)
	before := all[len(all)-n-band:][:band]
	mark(before)
	t.Cleanup(func() {
		marked(t, before)
		unix.Munmap(m)
	})
	return all[len(all)-n:]
}

//go:build !noasm

package kernel

import "golang.org/x/sys/unix"

// permitTiles asks Linux for the use of tile data, once for the process: the
// first tile instruction without that is an illegal one.
func permitTiles() bool {
	const requestPermission, tileData = 0x1023, 18 // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
	_, _, e := unix.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return e == 0
}

//go:build !noasm

package kernel

import "golang.org/x/sys/unix"

// permitTiles asks Linux for permission to use tile data, which holds for the entire
// process. Without it tile instructions are illegal.
func permitTiles() bool {
	const requestPermission, tileData = 0x1023, 18 // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
	_, _, e := unix.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return e == 0
}

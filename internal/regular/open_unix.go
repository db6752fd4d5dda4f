//go:build unix

package regular

import "syscall"

// nonBlocking makes opening a file return at once, even if it was replaced by a pipe since it
// was checked. It makes no difference for regular files.
const nonBlocking = syscall.O_NONBLOCK

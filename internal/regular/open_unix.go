//go:build unix

package regular

import "syscall"

// nonBlocking lets an open return at once, whatever the file has become since it was looked
// at. It changes nothing for regular files.
const nonBlocking = syscall.O_NONBLOCK

//go:build !noasm

package pixel

import "golang.org/x/sys/cpu"

var hasAVX2 = cpu.X86.HasAVX2

//go:build !noasm

package kernel

// gatherLines copies rows of pixels that lie far apart into one place.
func gatherLines(isa ISA, far **uint8, near *uint8, step, offset, count, rows, ld, size int) {
	if isa == AVX2 {
		gatherLinesAVX2(far, near, step, offset, count, rows, ld, size)
	} else {
		gatherLinesAVX512(far, near, step, offset, count, rows, ld, size)
	}
}

// spreadLines is the inverse of gatherLines.
func spreadLines(isa ISA, far **uint8, near *uint8, step, offset, count, rows, ld, size int) {
	if isa == AVX2 {
		spreadLinesAVX2(far, near, step, offset, count, rows, ld, size)
	} else {
		spreadLinesAVX512(far, near, step, offset, count, rows, ld, size)
	}
}

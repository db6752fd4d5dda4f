//go:build !noasm

package kernel

import "unsafe"

// tileArea is the scratch of the transforms, beginning at a cache line.
type tileArea struct {
	spill, scales []float32
	in            []uint16
	out           []int16
}

func newTileArea(scratch []float32) tileArea {
	const line, last = 16, mixMost * mixMost * tileLanes
	scratch = scratch[-int(uintptr(unsafe.Pointer(&scratch[0]))/4)&(line-1):]
	a := tileArea{spill: scratch[:tileSpill], scales: scratch[tileSpill:][:tileRun/2]}
	words := unsafe.Slice((*uint16)(unsafe.Pointer(&scratch[tileSpill+tileRun/2])), 2*last)
	a.in = words[:last]
	a.out = unsafe.Slice((*int16)(unsafe.Pointer(&words[last])), last)
	return a
}

// tileZeros stands for the pixels outside the image. Nothing writes to it.
var tileZeros [tileRun]uint16

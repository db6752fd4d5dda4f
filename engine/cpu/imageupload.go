package cpu

import (
	"sync"

	"github.com/residual-ml/residual/engine/cpu/kernel"
)

// imageUpload transposes [n][c][pixels] to [pixels][n][c]. A task writes a few pixels of
// all images.
type imageUpload struct {
	mu           sync.Mutex
	set          *kernel.Set
	dst          activation
	src          []float32
	rows, pixels int
	size         int   // pixels of a task
	areas        areas // for rounding: uploadRows rows of uploadPixels pixels
	work         func(task, thread int)
}

const (
	uploadPixels = 64
	uploadRows   = 32 // what Transpose of every kernel takes at once
	uploadPiece  = 4096
)

// newImageUpload returns the upload for so many threads.
func newImageUpload(set *kernel.Set, threads int) *imageUpload {
	u := &imageUpload{set: set}
	u.areas.need(uploadRows * uploadPixels / 2)
	u.areas.divide(alloc(u.areas.room(threads)))
	u.work = u.task
	return u
}

func (u *imageUpload) task(i, thread int) {
	lo, hi := i*u.size, min((i+1)*u.size, u.pixels)
	if u.dst.bf16 != nil {
		u.round(lo, hi, thread)
		return
	}
	for row := range u.rows {
		for p := lo; p < hi; p++ {
			u.dst.full[p*u.rows+row] = u.src[row*u.pixels+p]
		}
	}
}

// round is task for bfloat16.
func (u *imageUpload) round(lo, hi, thread int) {
	bf16 := &u.set.BF16
	switch u.rows {
	case 1:
		bf16.Narrow(u.dst.bf16[lo:hi], u.src[lo:hi])
	case 3:
		bf16.NarrowThree(u.dst.bf16[3*lo:], u.src[lo:], u.pixels, hi-lo)
	default:
		area := u.areas.of(thread)
		for row := 0; row < u.rows; row += uploadRows {
			row = min(row, max(0, u.rows-uploadRows)) // the last rows overlap those before
			u.transpose(area.bf16(), row, min(uploadRows, u.rows-row), lo, hi)
		}
	}
}

// transpose rounds some rows of pixels lo to hi into area and transposes them.
func (u *imageUpload) transpose(area []uint16, row, rows, lo, hi int) {
	for r := range rows {
		u.set.BF16.Narrow(area[r*uploadPixels:][:hi-lo], u.src[(row+r)*u.pixels:][lo:hi])
	}
	u.set.BF16.Transpose(u.dst.bf16[lo*u.rows+row:], area, uploadOffs[:rows], hi-lo, u.rows)
}

// uploadOffs has the offsets of the rows in an area.
var uploadOffs = func() (offs [uploadRows]int) {
	for i := range offs {
		offs[i] = i * uploadPixels
	}
	return offs
}()

func (u *imageUpload) run(p *pool, dst activation, src []float32, rows, pixels int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dst, u.src, u.rows, u.pixels, u.size = dst, src, rows, pixels, uploadPixels
	if dst.bf16 != nil && (rows == 1 || rows == 3) {
		u.size = uploadPiece
	}
	p.runOn(ceil(pixels, u.size), u.work)
	u.dst, u.src = activation{}, nil
}

package cpu

import (
	"sync"

	"github.com/residual-ml/residual/tensor"
)

// imageUpload transposes [n][c][pixels] to [pixels][n][c]. A task writes a few pixels of
// all images.
type imageUpload struct {
	mu           sync.Mutex
	dst          activation
	src          []float32
	rows, pixels int
	work         func(int)
}

const uploadPixels = 16 // a cache line of the source

func (u *imageUpload) task(i int) {
	lo, hi := i*uploadPixels, min((i+1)*uploadPixels, u.pixels)
	if u.dst.bf16 != nil {
		u.round(lo, hi)
		return
	}
	for row := range u.rows {
		for p := lo; p < hi; p++ {
			u.dst.full[p*u.rows+row] = u.src[row*u.pixels+p]
		}
	}
}

// round is task for bfloat16.
func (u *imageUpload) round(lo, hi int) {
	for row := range u.rows {
		for p := lo; p < hi; p++ {
			u.dst.bf16[p*u.rows+row] = tensor.ToBFloat16(u.src[row*u.pixels+p])
		}
	}
}

func (u *imageUpload) run(p *pool, dst activation, src []float32, rows, pixels int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dst, u.src, u.rows, u.pixels = dst, src, rows, pixels
	p.run(ceil(pixels, uploadPixels), u.work)
	u.dst, u.src = activation{}, nil
}

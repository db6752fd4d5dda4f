package kernel

import (
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/residual-ml/residual/internal/amxemu"
)

// A link is an element of a list that the garbage collector has to follow.
type link struct {
	next *link
	_    [7]int
}

// press disturbs the process until the function it returns is called. The garbage collector
// runs all the time; SIGURG, which preempts goroutines, is also sent from outside where it
// exists; SIGPROF comes from a timer; and the number of threads that run Go changes. It
// tests assembly that would fail if it lost the state of its thread.
func press(t *testing.T) (stop func()) {
	t.Helper()
	procs := runtime.GOMAXPROCS(0)
	profiling := pprof.StartCPUProfile(io.Discard) == nil
	quit := make(chan struct{})
	var work sync.WaitGroup
	repeat := func(f func(i int)) {
		work.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-quit:
					return
				default:
					f(i)
				}
			}
		})
	}
	repeat(func(int) {
		var list *link
		for range 1000 {
			list = &link{next: list}
		}
		runtime.GC()
		runtime.KeepAlive(list)
	})
	repeat(func(int) {
		interrupt()
		time.Sleep(20 * time.Microsecond)
	})
	repeat(func(i int) {
		runtime.GOMAXPROCS(1 + i%(2*procs))
		time.Sleep(5 * time.Millisecond)
	})
	return func() {
		close(quit)
		work.Wait()
		runtime.GOMAXPROCS(procs)
		if profiling {
			pprof.StopCPUProfile()
		}
	}
}

// TestProductsWhilePreempted checks that products give the same bits while threads are
// interrupted, preempted and changed all the time.
func TestProductsWhilePreempted(t *testing.T) {
	calls := 2000
	if testing.Short() {
		calls = 200
	}
	each(t, func(t *testing.T, set *Set) {
		calls := calls
		if set.ISA == Portable || set.ISA == AMX && amxemu.Emulated() {
			calls /= 40
		}
		rng := rand.New(rand.NewPCG(33, 3))
		p := newDotCase(rng, set.BF16.Cols, 70, set.BF16.Cols, 72, 3)
		a, b := randomBF16(t, rng, p.aLen), randomBF16(t, rng, p.bLen)
		x, y := random(t, rng, 100*100), random(t, rng, 100*set.Cols)
		i16 := newInt16Case(t, rng, set.Int16.Cols, 70, set.Int16.Cols, 72)
		i8 := newInt8Case(t, rng, set.Int8.Cols, 70, set.Int8.Cols, 72, 3)
		e := newEpilogue(t, rng, 70*i8.crs, set.Int8.Cols, 1, 1e5)
		wantInt16, wantInt8 := i16.want(), make([]uint8, 70*i8.crs)
		set.Int8.DotBytes(wantInt8, i8.crs, i8.a, i8.ars, i8.b, i8.segs, i8.k, 70, i8.cols, e, nil, 0)
		tiles := pressedTiles(t, set, rng)
		integers := func() bool {
			c, bytes := slices.Clone(i16.c), make([]uint8, len(wantInt8))
			set.Int16.Dot(c, i16.crs, i16.a, i16.ars, i16.b, i16.scale, i16.k, i16.rows, i16.cols, i16.accumulate)
			set.Int8.DotBytes(bytes, i8.crs, i8.a, i8.ars, i8.b, i8.segs, i8.k, 70, i8.cols, e, nil, 0)
			return sameFloats(c, wantInt16) && slices.Equal(bytes, wantInt8) && tiles()
		}
		run := func(bf16, single []float32) {
			set.BF16.Dot(bf16, p.crs, a, p.ars, b, p.segs, p.k, p.rows, p.cols, false)
			set.Gemm(single, set.Cols, x, 100, 1, y, set.Cols, []Seg{{0, 0}}, 100, 100, set.Cols, false)
		}
		size := p.rows * p.crs
		wantBF16, wantSingle := make([]float32, size), make([]float32, 100*set.Cols)
		run(wantBF16, wantSingle)
		stop := press(t)
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for range calls {
					bf16, single := make([]float32, size), make([]float32, 100*set.Cols)
					run(bf16, single)
					if !sameFloats(bf16, wantBF16) || !sameFloats(single, wantSingle) || !integers() {
						t.Error("a product under pressure has other bits")
						return
					}
				}
			})
		}
		workers.Wait()
		stop()
	})
}

func sameFloats(a, b []float32) bool {
	for i, v := range a {
		if math.Float32bits(v) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

// pressedTiles returns a function that reports whether the transforms of 8-bit integers give the
// same bits as at first.
func pressedTiles(t *testing.T, set *Set, rng *rand.Rand) func() bool {
	c := newByteTile(t, rng, 4, 5, 64, set.Int8.Tiles.Cols)
	sums, step, panel := c.run(t, set)
	size := (c.i1-1)*c.dstRow + (c.j1-1)*c.dstCol + (c.images-1)*c.ld + c.cols
	e := newEpilogue(t, rng, size, c.cols, 1, 1e6)
	run := func() ([]int16, []uint8) {
		v, y, scratch := make([]int16, c.dst()), make([]uint8, size), make([]float32, ByteTileScratch)
		set.Int8.Tiles.Input(c.m, v, c.step, c.bytes, c.srcRow, c.srcCol, c.channels, c.images, c.k0, c.k1, c.p0, c.p1, scratch)
		set.Int8.Tiles.Bytes(c.m, y, c.dstRow, c.dstCol, c.ld, sums, step, panel, e, c.images, c.i1, c.j1, c.cols, scratch)
		return v, y
	}
	wantV, wantY := run()
	return func() bool {
		v, y := run()
		return slices.Equal(v, wantV) && slices.Equal(y, wantY)
	}
}

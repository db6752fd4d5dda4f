//go:build cuda && !windows

package emulate

import (
	"os"
	"strconv"
	"sync"
	"testing"
	"unsafe"

	"github.com/residual-ml/residual/engine/cuda/driver"
)

// Real names the environment variable with the number of a GPU that is none of this
// package's: where it is set, Open opens that, and what tests do to the emulated one alone
// does nothing. Running threads in another order then means running them again.
const Real = "RESIDUAL_CUDA"

// IsReal says whether Open opens a GPU that is not emulated.
func IsReal() bool { return os.Getenv(Real) != "" }

// real is the GPU that all tests of a program share: opening one takes a while.
var real struct {
	sync.Mutex
	device any
	gpu    *GPU
}

// Open opens a device with open, which is cuda.New: on the GPU that Real names, with its
// launches counted, else on an emulated one, or skips the test.
func Open[D interface{ Close() }](t testing.TB, open func(api *driver.API, index int) (D, error)) (D, *GPU) {
	t.Helper()
	if IsReal() {
		return openReal(t, open)
	}
	g := New(t)
	d, err := open(g.API(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d, g
}

func openReal[D interface{ Close() }](t testing.TB, open func(api *driver.API, index int) (D, error)) (D, *GPU) {
	t.Helper()
	real.Lock()
	defer real.Unlock()
	if d, ok := real.device.(D); ok {
		return d, real.gpu
	}
	index, err := strconv.Atoi(os.Getenv(Real))
	if err != nil || index < 0 {
		t.Fatalf("%s=%s: give the number of a GPU, such as 0", Real, os.Getenv(Real))
	}
	api, err := driver.Open()
	if err != nil {
		t.Fatal(err)
	}
	g := &GPU{}
	d, err := open(g.counting(api), index)
	if err != nil {
		t.Fatal(err)
	}
	real.device, real.gpu = d, g
	return d, g
}

// counting is api that counts, in g, the graphs that are launched and the kernels beside
// them.
func (g *GPU) counting(api *driver.API) *driver.API {
	a := *api
	a.Launch = func(f driver.Function, gx, gy, gz, bx, by, bz, shared uint32, s driver.Stream, params, extra *unsafe.Pointer) driver.Result {
		if !g.capturing {
			g.Alone++
			g.Launches++
		}
		return api.Launch(f, gx, gy, gz, bx, by, bz, shared, s, params, extra)
	}
	a.CaptureBegin = func(s driver.Stream, mode int32) driver.Result {
		g.capturing = true
		return api.CaptureBegin(s, mode)
	}
	a.CaptureEnd = func(s driver.Stream, graph *driver.Graph) driver.Result {
		g.capturing = false
		return api.CaptureEnd(s, graph)
	}
	a.GraphLaunch = func(e driver.Exec, s driver.Stream) driver.Result {
		g.Graphs++
		return api.GraphLaunch(e, s)
	}
	return &a
}

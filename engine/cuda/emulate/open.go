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

// Real is the environment variable with the number of a real GPU. If it is set, Open opens
// that GPU, and settings of the emulated one have no effect; running threads in another
// order then means running them again.
const Real = "RESIDUAL_CUDA"

// IsReal reports whether Open opens a real GPU.
func IsReal() bool { return os.Getenv(Real) != "" }

// real is the real GPU, which all tests of a program share since opening one takes a while.
var real struct {
	sync.Mutex
	device any
	gpu    *GPU
}

// Open opens a device with the function open, which is cuda.New. The device is on the GPU
// that Real names, whose launches are counted, or on an emulated GPU. If there is neither,
// Open skips the test.
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

// counting returns api with launches counted in g: those of graphs, and those of kernels
// outside graphs.
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

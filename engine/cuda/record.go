//go:build cuda

package cuda

import (
	"runtime"

	"github.com/residual-ml/residual/engine/cuda/driver"
)

// recording is work that is the same every time, which the driver keeps as one graph from
// the second time on: it may load a kernel with its first launch, which a capture does not
// allow.
type recording struct {
	d    *Device
	ran  bool
	exec driver.Exec
}

// replay does work, which starts kernels and nothing else.
func (r *recording) replay(work func()) {
	d := r.d
	if !r.ran {
		r.ran = true
		work()
		return
	}
	if r.exec == 0 && !r.capture(work) {
		return
	}
	if d.err == nil {
		d.check("cuGraphLaunch", d.api.GraphLaunch(r.exec, d.stream))
	}
}

// capture makes a graph of work.
func (r *recording) capture(work func()) bool {
	d := r.d
	const relaxed = 2 // CU_STREAM_CAPTURE_MODE_RELAXED: other threads of this process may use the driver
	if !d.check("cuStreamBeginCapture", d.api.CaptureBegin(d.stream, relaxed)) {
		return false
	}
	work()
	var g driver.Graph
	if !d.check("cuStreamEndCapture", d.api.CaptureEnd(d.stream, &g)) {
		return false
	}
	d.check("cuGraphInstantiate", d.api.GraphInstantiate(&r.exec, g, 0))
	d.check("cuGraphDestroy", d.api.GraphDestroy(g))
	if d.err == nil {
		runtime.AddCleanup(r, d.dead.addGraph, r.exec)
	}
	return d.err == nil
}

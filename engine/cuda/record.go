//go:build cuda

package cuda

import (
	"runtime"

	"github.com/residual-ml/residual/engine/cuda/driver"
)

// recording is a sequence of launches that is the same every time. The second replay
// captures it as a CUDA graph, which all later ones launch. The first must not be captured,
// since the driver may load a kernel at its first launch, which a capture does not allow.
type recording struct {
	d    *Device
	ran  bool
	exec driver.Exec
}

// replay runs work, or its graph. work must only launch kernels.
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

// capture records work as a graph.
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
		runtime.AddCleanup(r, d.garbage.addGraph, r.exec)
	}
	return d.err == nil
}

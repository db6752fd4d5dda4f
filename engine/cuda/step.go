//go:build cuda

package cuda

import (
	"runtime"
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/optim"
)

// stepper runs complete training steps of one program: the kernels of the program, a check
// that the loss and all gradients are finite, and the passes over the parameters. A pass
// does nothing if a check before it failed. Each sequence of passes has one CUDA graph,
// which has the entire step.
type stepper struct {
	*updater
	program *executable
	norm    *norm
	gate    *buffer
	read    []*buffer
	back    pinned               // pinned memory for the gate, the settings and the values that are read
	sent    [mostPasses]settings // the settings on the device; zeros at first
	looks   [mostPasses]*launch
	graphs  map[string]*recording // by the names of the kernels of their passes
	key     []byte
	passes  []pass
}

// gate is struct Gate of the kernels: whether passes may still change anything.
type gate struct {
	open, passes int32
	factor       float32
	_            int32
}

// look is the entry in a list of kernels that stands for a check of loss and gradients.
const look = "gate"

// BindStep implements engine.Stepper.
func (d *Device) BindStep(e engine.Executable, read []engine.Buffer, pieces []engine.Piece) engine.TrainingStep {
	var s *stepper
	if d.enter() {
		s = d.newStepper(e.(*executable), read, pieces)
		d.leave()
	}
	return func(key int64, passes []engine.Pass, step int, values []float32, meanwhile func()) (int, bool) {
		if !d.enter() {
			return 0, true
		}
		planned := s.plan(passes, step)
		if planned {
			s.begin(key, len(passes))
		}
		d.leave()
		if !planned {
			return 0, false
		}
		if meanwhile != nil {
			meanwhile() // may use the device
		}
		if !d.enter() {
			return 0, true
		}
		defer d.leave()
		return s.end(len(passes), values), true
	}
}

// The pinned memory of a stepper has the gate, then the settings, then the values that are
// read. These are the offsets in bytes.
const (
	settingsAt = int(unsafe.Sizeof(gate{}))
	readAt     = settingsAt + mostPasses*settingsBytes
)

// newStepper prepares training steps. If it fails, the device has failed.
func (d *Device) newStepper(p *executable, read []engine.Buffer, pieces []engine.Piece) *stepper {
	s := &stepper{updater: d.newUpdater(pieces), program: p, graphs: map[string]*recording{}}
	for _, b := range read {
		s.read = append(s.read, b.(*buffer))
	}
	s.gate = d.alloc(settingsAt / 4)
	d.pin(&s.back, readAt+4*len(read), 0)
	runtime.AddCleanup(s, d.garbage.addPinned, s.back)
	if s.norm = d.newNorm(s.trained); s.norm == nil {
		return s
	}
	loss := s.read[0]
	for k := range s.looks {
		told := s.told.slice(k*settingsBytes/4, settingsBytes/4)
		l, err := d.launch("gate", grid{1, 1, 1, 1}, loss, s.norm.sum, told, s.gate, k)
		if err != nil {
			d.err = err
			return s
		}
		s.looks[k], loss = l, nil // only the first check reads the loss, which passes do not change
	}
	return s
}

// plan lists the kernels of the passes. It returns false if a pass has no kernel.
func (s *stepper) plan(passes []engine.Pass, step int) bool {
	if len(passes) > mostPasses {
		return false
	}
	s.passes, s.key = s.passes[:0], s.key[:0]
	for k, q := range passes {
		t := &s.settings[k]
		*t = settings{limit: q.Clip}
		s.names = s.names[:0]
		if k == 0 || replaces(passes[k-1].Updater) {
			s.names = append(s.names, look)
		}
		if q.Clip > 0 {
			s.names = append(s.names, "scale_gradients")
		}
		var ok bool
		if s.names, ok = t.tell(s.names, q.Updater, q.LR, step); !ok || q.Clip > 0 && t.factor != 0 {
			return false
		}
		for _, name := range s.names {
			s.passes = append(s.passes, pass{name, k, s.gate})
			s.key = append(append(s.key, name...), byte('0'+k))
		}
	}
	return true
}

// replaces reports whether a pass changes the gradients, so that they must be checked
// again.
func replaces(u engine.Updater) bool {
	sum, ok := u.(*optim.Sum)
	return ok && sum.Phase == optim.SumReplace
}

// begin starts the planned step. end must be called before the next begin, so that the
// kernels of the previous step have read their settings.
func (s *stepper) begin(key int64, of int) {
	d := s.d
	if d.err != nil {
		return
	}
	s.program.draw(key)
	if at := unsafe.Add(s.back.at, settingsAt); s.sent != s.settings {
		s.sent = s.settings
		copy(unsafe.Slice((*settings)(at), mostPasses), s.sent[:])
		d.check("cuMemcpyHtoDAsync", d.api.CopyTo(s.told.at, at, uint64(unsafe.Sizeof(s.sent)), d.stream))
	}
	r := s.graphs[string(s.key)]
	if r == nil {
		r = &recording{d: d}
		s.graphs[string(s.key)] = r
	}
	r.replay(func() {
		s.program.launchAll()
		for _, p := range s.passes {
			if p.kernel == look {
				s.norm.start(d)
				d.start(s.looks[p.number])
			} else {
				s.start(p)
			}
		}
	})
	*(*gate)(s.back.at) = gate{}
	back := func(at int, b *buffer, bytes int) {
		if d.err == nil {
			d.check("cuMemcpyDtoHAsync", d.api.CopyFrom(unsafe.Add(s.back.at, at), b.at, uint64(bytes), d.stream))
		}
	}
	back(0, s.gate, settingsAt)
	for i, b := range s.read {
		back(readAt+4*i, b, 4)
	}
}

// end waits for the step and returns how many of its passes were made.
func (s *stepper) end(of int, values []float32) int {
	if !s.d.wait() {
		return 0
	}
	copy(values, unsafe.Slice((*float32)(unsafe.Add(s.back.at, readAt)), len(s.read)))
	if g := (*gate)(s.back.at); g.open == 0 {
		return int(g.passes)
	}
	return of
}

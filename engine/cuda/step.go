//go:build cuda

package cuda

import (
	"runtime"
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/optim"
)

// stepper makes whole training steps of one program: its kernels, a look at the loss and
// at all gradients, and those of the passes over the parameters, of which each does nothing
// where a look before it found a number that is not finite. All of it is one graph, one
// for every sequence of passes.
type stepper struct {
	*updater
	program *program
	norm    *norm
	gate    *buffer
	read    []*buffer
	back    pinned               // the gate and what is read, on their way back, and the settings
	sent    [mostPasses]settings // that kernels have; zeros at first
	looks   [mostPasses]*launch
	graphs  map[string]*recording // by the kernels of their passes
	key     []byte
	passes  []pass
}

// gate is the kernels' Gate.
type gate struct {
	open, passes int32
	factor       float32
	_            int32
}

// look is the name of a place in a step where the gate is asked for.
const look = "gate"

// BindStep implements engine.Stepper.
func (d *Device) BindStep(e engine.Executable, read []engine.Buffer, pieces []engine.Piece) engine.WholeStep {
	var s *stepper
	if d.enter() {
		s = d.newStepper(e.(*program), read, pieces)
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

// What lies in the pinned memory of a stepper, in bytes: the gate, then the settings, then
// what is read.
const (
	settingsAt = int(unsafe.Sizeof(gate{}))
	readAt     = settingsAt + mostPasses*settingsBytes
)

// newStepper prepares steps; where that fails the device has, too.
func (d *Device) newStepper(p *program, read []engine.Buffer, pieces []engine.Piece) *stepper {
	s := &stepper{updater: d.newUpdater(pieces), program: p, graphs: map[string]*recording{}}
	for _, b := range read {
		s.read = append(s.read, b.(*buffer))
	}
	s.gate = d.alloc(settingsAt / 4)
	d.pin(&s.back, readAt+4*len(read), 0)
	runtime.AddCleanup(s, d.dead.addPinned, s.back)
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
		s.looks[k], loss = l, nil // the loss stays what it is
	}
	return s
}

// plan lists the kernels of the passes, and says whether there are any for all of them.
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

// replaces says that a pass leaves other gradients than it found, to be looked at anew.
func replaces(u engine.Updater) bool {
	sum, ok := u.(*optim.Sum)
	return ok && sum.Phase == optim.SumReplace
}

// begin starts the step that was planned, which is over when end has been called: so the
// settings of the step before have been read.
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

// end waits for the step, and returns how many of its passes were made.
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

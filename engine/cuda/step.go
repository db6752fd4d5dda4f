//go:build cuda

package cuda

import (
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
	loss    *buffer
	norm    *norm
	gate    *buffer
	state   gate // on its way back
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
func (d *Device) BindStep(e engine.Executable, loss engine.Buffer, pieces []engine.Piece) engine.WholeStep {
	var s *stepper
	if d.enter() {
		s = d.newStepper(e.(*program), loss.(*buffer), pieces)
		d.leave()
	}
	return func(key int64, passes []engine.Pass, step int) (int, bool) {
		if !d.enter() {
			return 0, true
		}
		defer d.leave()
		if !s.plan(passes, step) {
			return 0, false
		}
		return s.make(key, len(passes)), true
	}
}

// newStepper prepares steps; where that fails the device has, too.
func (d *Device) newStepper(p *program, loss *buffer, pieces []engine.Piece) *stepper {
	s := &stepper{updater: d.newUpdater(pieces), program: p, loss: loss, graphs: map[string]*recording{}}
	s.gate = d.alloc(int(unsafe.Sizeof(s.state)) / 4)
	if s.norm = d.newNorm(s.trained); s.norm == nil {
		return s
	}
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

// make makes the step that was planned, and returns how many of its passes were made.
func (s *stepper) make(key int64, of int) int {
	s.program.draw(key)
	s.send(of)
	r := s.graphs[string(s.key)]
	if r == nil {
		r = &recording{d: s.d}
		s.graphs[string(s.key)] = r
	}
	r.replay(func() {
		s.program.launchAll()
		for _, p := range s.passes {
			if p.kernel == look {
				s.norm.start(s.d)
				s.d.start(s.looks[p.number])
			} else {
				s.start(p)
			}
		}
	})
	s.state = gate{}
	s.d.copyFrom(unsafe.Pointer(&s.state), s.gate, int(unsafe.Sizeof(s.state)))
	if s.state.open != 0 {
		return of
	}
	return int(s.state.passes)
}

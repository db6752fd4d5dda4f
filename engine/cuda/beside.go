//go:build cuda

package cuda

import (
	"slices"

	"github.com/residual-ml/residual/engine"
)

// Beside implements engine.Sider: gradients of weights, which nothing waits for but the
// optimiser. They wait for products, and what comes after them mostly for memory.
func (d *Device) Beside(s engine.Step) bool {
	_, ok := s.(*engine.ConvGradWeight)
	return ok
}

// sides says of every step of a program how it lies to those that are computed beside
// others.
type sides struct {
	beside []bool // it is one of them
	join   []bool // what is beside must be done before it
}

// sidesOf plans them. At the end of the program, too, all must be done.
func (d *Device) sidesOf(steps []engine.Step) sides {
	var s sides
	var made []*engine.Value // by the step beside, as long as it may be at work
	for _, step := range steps {
		beside := d.Beside(step)
		uses := append(step.Reads(), step.Writes()...)
		join := beside || slices.ContainsFunc(uses, func(v *engine.Value) bool {
			return slices.ContainsFunc(made, func(m *engine.Value) bool { return m.Root() == v.Root() })
		})
		if join = join && made != nil; join {
			made = nil
		}
		if beside {
			made = step.Writes()
		}
		s.beside, s.join = append(s.beside, beside), append(s.join, join)
	}
	return s
}

// startBeside starts a step on the side, once what was started in the stream is done.
func (d *Device) startBeside(step []*launch) {
	if !d.check("cuEventRecord", d.api.EventRecord(d.forked, d.stream)) || !d.check("cuStreamWaitEvent", d.api.StreamAfter(d.side, d.forked, 0)) {
		return
	}
	for _, l := range step {
		d.startIn(d.side, l)
	}
	if d.err == nil {
		d.check("cuEventRecord", d.api.EventRecord(d.joined, d.side))
	}
}

// join lets the stream wait for what is on the side.
func (d *Device) join() {
	if d.err == nil {
		d.check("cuStreamWaitEvent", d.api.StreamAfter(d.stream, d.joined, 0))
	}
}

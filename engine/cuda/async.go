//go:build cuda

package cuda

import (
	"slices"

	"github.com/residual-ml/residual/engine"
)

// Asynchronous implements engine.AsyncDevice: gradients of weights are asynchronous steps. Only the
// optimiser needs their results. They are limited by multiplication and the steps after
// them mostly by memory, so the two overlap well.
func (d *Device) Asynchronous(s engine.Step) bool {
	_, ok := s.(*engine.ConvGradWeight)
	return ok
}

// sideSteps says, for every step of a program, whether it is asynchronous, that is,
// computed in the side stream, and whether it waits for such a step.
type sideSteps struct {
	beside []bool // the step is asynchronous
	join   []bool // the asynchronous step under way must end before this step
}

// sideStepsOf plans the asynchronous steps. launchAll also waits for the last one at the
// end of the program.
func (d *Device) sideStepsOf(steps []engine.Step) sideSteps {
	var s sideSteps
	var made []*engine.Value // results of the asynchronous step under way; nil if there is none
	for _, step := range steps {
		beside := d.Asynchronous(step)
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

// startOnSide starts a step in the side stream. It begins when the work that is in the
// main stream now is done.
func (d *Device) startOnSide(step []*launch) {
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

// join lets the main stream wait for the work in the side stream.
func (d *Device) join() {
	if d.err == nil {
		d.check("cuStreamWaitEvent", d.api.StreamAfter(d.stream, d.joined, 0))
	}
}

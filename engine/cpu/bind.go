package cpu

import (
	"fmt"

	"github.com/residual-ml/residual/engine"
)

// Bind prepares the steps of a program to run on this device.
func (d *Device) Bind(b engine.Binding) (engine.Executable, error) {
	bd := &binder{Binding: b, device: d, set: d.kernels(b.Precision), pool: d.pool, direct: d.direct, forced: d.forced, areas: &areas{}, exe: &executable{}}
	bd.findFixed()
	for _, s := range b.Steps {
		f, err := bd.step(s)
		if err != nil {
			return nil, err
		}
		bd.exe.runs = append(bd.exe.runs, bd.once(s, f))
	}
	// The work areas of tasks lie behind the scratch that steps share.
	line := ceil(bd.shared, 16) * 16
	all := b.Scratch(line + bd.areas.room(d.pool.threads)).(memory)
	bd.exe.scratch = all
	bd.areas.divide(all[line:])
	bd.exe.own = bd.private
	return bd.exe, nil
}

func (b *binder) step(s engine.Step) (func(), error) {
	switch s := s.(type) {
	case *engine.Conv:
		return b.conv(s), nil
	case *engine.ConvGradInput:
		return b.convGradInput(s), nil
	case *engine.ConvGradWeight:
		return b.convGradWeight(s), nil
	case *engine.BatchNormStats:
		return b.batchNormStats(s), nil
	case *engine.BatchNorm:
		return b.batchNorm(s), nil
	case *engine.BatchNormReduce:
		return b.batchNormReduce(s), nil
	case *engine.BatchNormGrad:
		return b.batchNormGrad(s), nil
	case *engine.Quantize:
		return b.convert(b.act(s.Y), b.act(s.X), s.X.Numel()), nil
	case *engine.Relayout:
		return b.relayout(s.From, s.To, s.From.Shape), nil
	case *engine.Assign:
		return b.copy(b.mem(s.To), b.mem(s.From)), nil
	case *engine.Compute:
		f, err := b.compute(s)
		if f != nil && b.isStatistics(s) && b.onlyNorms(s.Out) {
			f = b.whenChanged(f)
		}
		return f, err
	}
	return nil, fmt.Errorf("cpu: no kernel for step %T", s)
}

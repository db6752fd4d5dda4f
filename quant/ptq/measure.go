package ptq

import (
	"maps"
	"slices"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
)

// evaluate measures the net with a scheme on the test images.
func (s *search) evaluate(scheme *quant.Scheme, p engine.Precision) (inference.Result, error) {
	stage := "testing in " + p.String()
	if scheme != nil {
		stage = "testing in int8"
	}
	with := s.c.Computing(s.module(scheme), p)
	defer with.Close()
	s.config.Progress(stage, 0, s.images.Test.Len())
	return with.Evaluate(s.ctx, s.images.Test, data.LoaderConfig{Batch: s.config.Batch}, func(done, total int) { s.config.Progress(stage, done, total) })
}

// finish describes the layers and measures speeds.
func (s *search) finish(scheme *quant.Scheme, reference *sample) (*Result, error) {
	r := &s.result
	e, err := s.errorOf(scheme, reference)
	if err != nil {
		return nil, err
	}
	r.Error, r.MaxDrop = number.Float(e), s.config.MaxDrop
	r.Net = &quant.Net{Module: s.c.Module(), Scheme: scheme, Calibration: quant.Calibration{Method: r.Method, Images: r.Images, Data: r.Data}}
	r.Info = s.c.Info()
	if err := s.states(scheme); err != nil {
		return nil, err
	}
	if a := r.States[len(r.States)-1].Accuracy; a != nil && r.Info.Metrics["test_accuracy"] != 0 {
		r.Info.Metrics = maps.Clone(r.Info.Metrics)
		r.Info.Metrics["test_accuracy"] = float64(*a)
	}
	for _, l := range s.layers {
		row := Layer{Layer: l.candidate.Name, Quantised: l.why == "", Why: l.why}
		if l.can && l.err > 0 {
			row.Error = number.Known(l.err)
		}
		for _, v := range s.values {
			if slices.Contains(v.Readers, row.Layer) {
				row.Seen = number.Float(v.high)
				_, high := v.histogram.Range(r.Method)
				row.High = number.Float(high)
			}
		}
		r.Layers = append(r.Layers, row)
	}
	return r, s.times(scheme)
}

// states measures the speed of the net in float32, in the device's preferred precision, and
// quantised.
func (s *search) states(scheme *quant.Scheme) error {
	dev := s.c.Device()
	preferred := dev.Preferred(engine.Inference)
	nets := []state{{nil, engine.FP32, "fp32"}, {nil, preferred, preferred.String()}, {scheme, s.precision, "int8"}}
	if preferred == engine.FP32 {
		nets = slices.Delete(nets, 1, 2)
	}
	known := s.result.States
	s.result.States = nil
	for _, n := range nets {
		row := State{Precision: n.name}
		for _, k := range known {
			if k.Precision == n.name {
				row = k
			}
		}
		if row.Accuracy == nil && s.measurable() {
			m, err := s.evaluate(n.scheme, n.precision)
			if err != nil {
				return err
			}
			row.Accuracy, row.Loss = number.Known(m.Accuracy), number.Known(m.Loss)
		}
		s.result.States = append(s.result.States, row)
	}
	one := s.c.ImageShape()
	many := one.Clone()
	many[0] = batchOf(one)
	for i, shape := range []tensor.Shape{one, many} {
		s.config.Progress("measuring speed", i, 2)
		times, err := s.speeds(nets, shape)
		if err != nil {
			return err
		}
		for j, t := range times {
			if i == 0 {
				s.result.States[j].Latency = number.Float(1e3 * t.Seconds())
			}
			s.result.States[j].ImagesPerSecond = number.Float(float64(shape[0]) / t.Seconds())
		}
	}
	return nil
}

// state is the net in one precision.
type state struct {
	scheme    *quant.Scheme
	precision engine.Precision
	name      string
}

// speeds returns the median time of a batch for each of several nets, which are measured in turns.
func (s *search) speeds(nets []state, shape tensor.Shape) ([]time.Duration, error) {
	const turns, atLeast = 5, 50 * time.Millisecond
	x := tensor.New(shape...)
	runners := make([]*forward.Runner, len(nets))
	for i, n := range nets {
		runners[i] = forward.New(s.module(n.scheme), engine.NewStore(s.c.Device()), n.precision, forward.Config{Targets: s.c.Info().Targets()})
	}
	times := make([][]time.Duration, len(nets))
	for turn := range turns + 1 {
		for i, r := range runners {
			if err := s.ctx.Err(); err != nil {
				return nil, err
			}
			start, n := time.Now(), 0
			for n == 0 || time.Since(start) < atLeast {
				if _, err := r.Logits(x); err != nil {
					return nil, err
				}
				n++
			}
			if turn > 0 { // the first turn includes compilation
				times[i] = append(times[i], time.Since(start)/time.Duration(n))
			}
		}
	}
	medians := make([]time.Duration, len(nets))
	for i, t := range times {
		slices.Sort(t)
		medians[i] = t[len(t)/2]
	}
	return medians, nil
}

// times measures how long each layer takes in the device's preferred precision and quantised.
func (s *search) times(scheme *quant.Scheme) error {
	shape := s.c.ImageShape()
	shape[0] = batchOf(shape)
	for i, n := range []state{{nil, s.c.Device().Preferred(engine.Inference), ""}, {scheme, s.precision, ""}} {
		s.config.Progress("timing layers", i, 2)
		times, err := s.profile(n, shape)
		if err != nil {
			return err
		}
		for j := range s.result.Layers {
			t, ok := times[s.result.Layers[j].Layer]
			if !ok {
				continue
			}
			ms := number.Known(1e3 * t.Seconds())
			if i == 0 {
				s.result.Layers[j].Before = ms
			} else {
				s.result.Layers[j].After = ms
			}
		}
	}
	s.config.Progress("timing layers", 2, 2)
	return nil
}

// profile returns how long the steps that read each layer's weight take at least.
func (s *search) profile(n state, shape tensor.Shape) (map[string]time.Duration, error) {
	m := s.module(n.scheme)
	nn.Named(m)
	g := graph.New(graph.Eval)
	x := g.Input("images", tensor.Float32, shape...)
	out, err := engine.Trace(m.Forward, x)
	if err != nil {
		return nil, err
	}
	p, err := engine.Compile(g, engine.NewStore(s.c.Device()), engine.Spec{Outputs: []*graph.Node{out}, Precision: n.precision})
	if err != nil {
		return nil, err
	}
	if err := p.Feed(x, tensor.New(shape...)); err != nil {
		return nil, err
	}
	if err := p.Run(0); err != nil {
		return nil, err
	}
	const runs = 5
	var least []time.Duration
	for range runs {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		times := p.Profile()
		if least == nil {
			least = times
		}
		for i, t := range times {
			least[i] = min(least[i], t)
		}
	}
	layers := map[string]time.Duration{}
	for i, name := range weightsOf(p.Steps()) {
		if name != "" {
			layers[name] += least[i]
		}
	}
	return layers, nil
}

// weightsOf returns for each step the name of the weight that it reads, rounds, or reads rounded; the
// name is empty if it is none of these.
func weightsOf(steps []engine.Step) []string {
	names, rounded := make([]string, len(steps)), map[*engine.Value]string{}
	for i, step := range steps {
		for _, v := range step.Reads() {
			if v.Variable != nil && len(v.Shape) > 1 {
				names[i] = v.Variable.Name
			} else if name, ok := rounded[v]; ok {
				names[i] = name
			}
		}
		if c, ok := step.(*engine.Compute); ok && names[i] != "" {
			if _, ok := c.Op.(graph.FakeQuantize); ok {
				rounded[c.Out] = names[i]
			}
		}
	}
	return names
}

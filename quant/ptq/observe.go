package ptq

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
)

// observe runs the net on the observed images twice: first to find the least and the greatest
// number of every value, and then to count the numbers between them.
func (s *search) observe() error {
	for i := range s.values {
		s.values[i].low, s.values[i].high = 0, 0
	}
	err := s.observing("finding ranges", func(v *value, data []float32) error {
		for _, x := range data {
			v.low, v.high = min(v.low, x), max(v.high, x)
		}
		if d := v.high - v.low; d-d != 0 {
			return fmt.Errorf("%s of the model is not finite on an image; its weights are damaged, or its training diverged", v.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, v := range s.values {
		s.values[i].histogram = quant.NewHistogram(v.low, v.high)
	}
	return s.observing("counting", func(v *value, data []float32) error {
		v.histogram.Add(data)
		return nil
	})
}

// observing computes all values for each batch of the observed images, and calls each for all of
// them, in parallel.
func (s *search) observing(stage string, each func(v *value, data []float32) error) error {
	programs, store := map[int]*valueProgram{}, engine.NewStore(s.c.Device())
	done := 0
	for _, batch := range s.observed.batches {
		s.config.Progress(stage, done, s.observed.count)
		if err := s.ctx.Err(); err != nil {
			return err
		}
		n := batch.Shape()[0]
		if programs[n] == nil {
			var err error
			if programs[n], err = s.compileValues(batch.Shape(), store); err != nil {
				return err
			}
		}
		if err := programs[n].run(batch); err != nil {
			return err
		}
		errs, all := make([]error, len(s.values)), sync.WaitGroup{}
		for i := range s.values {
			all.Go(func() { errs[i] = each(&s.values[i], programs[n].read[i].Data()) })
		}
		all.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		done += n
	}
	s.config.Progress(stage, done, s.observed.count)
	return s.c.Device().Err()
}

// valueProgram computes the values of batches of one size.
type valueProgram struct {
	*engine.Program
	input *graph.Node
	nodes []*graph.Node
	read  []*tensor.Tensor
}

func (s *search) compileValues(shape tensor.Shape, store *engine.Store) (*valueProgram, error) {
	g := graph.New(graph.Eval)
	p := &valueProgram{input: g.Input("images", tensor.Float32, shape...)}
	if _, err := engine.Trace(s.c.Module().Forward, p.input); err != nil {
		return nil, err
	}
	for _, v := range s.values {
		n := g.Nodes[v.Node.ID] // the trace of another batch size has the same nodes
		p.nodes, p.read = append(p.nodes, n), append(p.read, tensor.New(n.Shape...))
	}
	var err error
	p.Program, err = engine.Compile(g, store, engine.Spec{Outputs: unique(p.nodes)})
	return p, err
}

func unique(nodes []*graph.Node) (list []*graph.Node) {
	for _, n := range nodes {
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}

func (p *valueProgram) run(batch *tensor.Tensor) error {
	if err := p.Feed(p.input, batch); err != nil {
		return err
	}
	if err := p.Run(0); err != nil {
		return err
	}
	for i, n := range p.nodes {
		p.Read(n, p.read[i])
	}
	return nil
}

// module returns the net with a scheme; nil stands for none.
func (s *search) module(scheme *quant.Scheme) nn.Module {
	if scheme == nil {
		return s.c.Module()
	}
	return &quant.Net{Module: s.c.Module(), Scheme: scheme}
}

// outputs computes the net with a scheme on the images that errors are measured on.
func (s *search) outputs(scheme *quant.Scheme) (*sample, error) {
	p := s.precision
	if scheme == nil {
		p = engine.FP32
	}
	r := forward.New(s.module(scheme), engine.NewStore(s.c.Device()), p, forward.Config{Targets: s.c.Info().Targets()})
	out := &sample{}
	for _, batch := range s.held.batches {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		y, err := r.Logits(batch)
		if err != nil {
			return nil, err
		}
		out.add(y.Clone())
	}
	return out, nil
}

// errorOf returns the error of a scheme, as MethodError describes it.
func (s *search) errorOf(scheme *quant.Scheme, reference *sample) (float64, error) {
	got, err := s.outputs(scheme)
	if err != nil {
		return 0, err
	}
	var n, sum, squares, change float64
	for i, batch := range reference.batches {
		for j, want := range batch.Data() {
			d := float64(got.batches[i].Data()[j]) - float64(want)
			n, sum, squares, change = n+1, sum+float64(want), squares+float64(want)*float64(want), change+d*d
		}
	}
	variance := squares - sum*sum/n
	if change == 0 {
		return 0, nil
	}
	return math.Sqrt(change / variance), nil
}

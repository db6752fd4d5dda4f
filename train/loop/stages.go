package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Stage is a part of a training in which the images have a size of their own: see Options.Stages.
type Stage struct {
	// Train has the training images in the size of the stage: those of New, in the same order.
	Train data.Dataset
	// Transform stands in for Options.Transform. Its output has the size of Train.
	Transform transforms.Transform
}

// stages are the stages of a training, of which the last has the data set of New.
type stages struct {
	all []Stage
	now int // the one that the loader and the programs belong to
}

// setStages takes the stages of the options. It returns an error if the network does not take the
// images of one.
func (t *Trainer) setStages(train data.Dataset) error {
	o := t.options
	t.stages.all = append(append([]Stage(nil), o.Stages...), Stage{train, o.Transform})
	t.stages.now = len(o.Stages)
	for i, s := range o.Stages {
		a, b := s.Train.Info(), train.Info()
		if s.Train.Len() != train.Len() || a.Channels != b.Channels {
			return fmt.Errorf("stage %d has %d images of %d channels, and the training %d of %d; give the same images in another size", i+1, s.Train.Len(), a.Channels, train.Len(), b.Channels)
		}
		t.input = inputOf(s.Train)
		if _, _, err := t.forward(t.loader.Sizes()[0], o.Mix != nil || t.takesFloats()); err != nil {
			return fmt.Errorf("%s on images of %dx%d, with which the training begins: %w", nn.Class(t.module), a.Height, a.Width, err)
		}
	}
	t.input = inputOf(train)
	return nil
}

// inputOf returns the shape of one image.
func inputOf(ds data.Dataset) tensor.Shape {
	info := ds.Info()
	return tensor.Shape{info.Channels, info.Height, info.Width}
}

// stageOf returns the stage of an epoch, by the epoch's middle. The last epoch belongs to the last
// stage.
func (t *Trainer) stageOf(epoch int) int {
	n, each, all := len(t.stages.all), t.Batches(), t.all()
	if epoch*each >= all {
		return n - 1
	}
	return min((2*epoch-1)*each*n/(2*all), n-1)
}

// load returns the loader of a stage.
func (t *Trainer) load(s Stage) (*data.Loader, error) {
	o := t.options
	return data.NewLoader(s.Train, data.LoaderConfig{
		Batch: o.Batch, Even: !o.ShortLast, Shuffle: true, Sampler: o.Sampler, Seed: o.Seed, Workers: o.Workers,
		Transform: s.Transform, Mix: o.Mix, Normalize: o.Normalize, Uint8: engine.TakesUint8(t.store.Device()),
	})
}

// enter begins a stage. Weights, the optimiser's state and averages are in the store, which all
// stages share. The loader and the programs of the stage before are given up, with their memory.
func (t *Trainer) enter(stage int) (err error) {
	if stage == t.stages.now {
		return nil
	}
	t.dropSent()
	t.sum.clear()
	t.sum.program, t.programs = nil, map[batchKind]*stepProgram{}
	s := t.stages.all[stage]
	if t.loader, err = t.load(s); err != nil {
		return err
	}
	t.stages.now, t.input = stage, inputOf(s.Train)
	for _, n := range t.loader.Sizes() {
		if _, err := t.program(n, t.options.Mix != nil); err != nil {
			return fmt.Errorf("%s on a batch of %d images of shape %v: %w", nn.Class(t.module), n, t.input, err)
		}
	}
	return nil
}

// timeStages times some steps of every stage but the last, with images that run has read, and takes
// them into s.
func (r *trial) timeStages(ctx context.Context, s *Speed) error {
	last := r.stages.now
	if last == 0 {
		return nil
	}
	times := make([]time.Duration, last+1)
	for i := range last {
		if err := r.enter(i); err != nil {
			return err
		}
		w, err := r.timeBatches(ctx, r.loader.Samples(), true, r.loader, r.trainOn)
		if err != nil && !errors.Is(err, ErrNotFinite) {
			return err
		}
		times[i] = w.timeOf(r.loader.Samples())
	}
	r.staged(times, s)
	return r.enter(last)
}

// staged corrects the estimate for the epochs with other images than the last. The epochs that
// Measure is asked about are the last ones.
func (r *trial) staged(times []time.Duration, s *Speed) {
	last := len(times) - 1
	times[last] = s.Epoch
	first := max(r.options.Epochs-r.epochs, 0) + 1
	of := func(epoch int) time.Duration { return times[r.stageOf(epoch)] }
	s.FirstEpoch += of(first) - s.Epoch
	s.Epoch = of(first)
	if later := r.options.Epochs - first; later > 0 {
		s.Epoch = 0
		for epoch := first + 1; epoch <= r.options.Epochs; epoch++ {
			s.Epoch += of(epoch) / time.Duration(later)
		}
	}
}

package loop

import (
	"fmt"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

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

// stageOf returns the stage of an epoch.
func (t *Trainer) stageOf(epoch int) int {
	return StageOf(epoch, t.Batches(), t.all(), len(t.stages.all))
}

// StageOf returns the stage of an epoch, from 0, in a training of so many stages that has all batches,
// and so many in an epoch. The stage goes by the epoch's middle. The last epoch belongs to the last stage.
func StageOf(epoch, batches, all, stages int) int {
	if epoch*batches >= all {
		return stages - 1
	}
	return min((2*epoch-1)*batches*stages/(2*all), stages-1)
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

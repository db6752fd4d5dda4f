package study

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/task"
)

// Source is a trained model and the images it is measured on.
type Source struct {
	Model     string `yaml:"model" json:"model"`         // a model file, or a run folder; see checkpoint.FindModel
	Data      string `yaml:"data" json:"data"`           // name of a data set, or a folder or list of images; empty: what the model was trained on
	TestSize  int    `yaml:"test_size" json:"test_size"` // number of test images; 0: all
	Batch     int    `yaml:"batch" json:"batch"`         // 0: 128; it does not change the result
	Precision string `yaml:"precision" json:"precision"` // empty or auto: the fastest that suits the device
	DataDir   string `yaml:"data_dir,omitempty" json:"data_dir,omitempty"`
	Offline   bool   `yaml:"offline,omitempty" json:"offline,omitempty"`

	// MaxPixels limits the size of an image as train.Preparation.MaxPixels does; 0: the limit
	// of the model's training, where the images are those of its training.
	MaxPixels int64 `yaml:"max_pixels,omitempty" json:"max_pixels,omitempty"`

	// How the model's training divided the user's images, read from its run, for a training
	// that follows.
	Holdout     float64 `yaml:"holdout,omitempty" json:"holdout,omitempty"`
	HoldoutSeed uint64  `yaml:"holdout_seed,omitempty" json:"holdout_seed,omitempty"`
}

// opened is a Source with its model and data loaded.
type opened struct {
	Source
	precision  engine.Precision
	classifier *inference.Classifier
	net        models.Net
	test       data.Dataset
}

// open loads the model and the test data, and fills in the defaults of s, of which the precision
// suits the purpose.
func (s *Source) open(ctx context.Context, dev engine.Device, purpose engine.Purpose, progress func(done, total int64, what string)) (*opened, error) {
	p, err := engine.ParsePrecision(cmp.Or(s.Precision, "auto"), dev, purpose)
	if err != nil {
		return nil, err
	}
	s.Precision, s.Batch = p.String(), cmp.Or(s.Batch, 128)
	if s.Model, err = checkpoint.FindModel(s.Model); err != nil {
		return nil, err
	}
	o := &opened{precision: p}
	if o.classifier, err = inference.Load(s.Model, dev, p); err != nil {
		return nil, err
	}
	about := o.classifier.Info()
	if of := about.Task.Named(); of != task.Classes {
		return nil, fmt.Errorf("%s answers with %s, and this is measured by the accuracy of classes", s.Model, of)
	}
	if o.net, err = residualNet(s.Model, about.Architecture, o.classifier.Module()); err != nil {
		return nil, err
	}
	if s.Data = cmp.Or(s.Data, about.Dataset); s.Data == "" {
		return nil, field.Errorf("%s does not say what it was trained on; name a data set with {Data}", s.Model)
	}
	o.Source = *s
	o.test, err = o.part(ctx, data.Test, s.TestSize, progress)
	*s = o.Source
	return o, err
}

// part opens one part of the data.
func (o *opened) part(ctx context.Context, split data.Split, size int, progress func(done, total int64, what string)) (data.Dataset, error) {
	if folder.IsPath(o.Data) {
		return o.photos(ctx, split, size, progress)
	}
	ds, err := data.Open(ctx, o.Data, data.Options{Dir: o.DataDir, Split: split, Offline: o.Offline, Size: size, Progress: progress})
	if err != nil {
		return nil, err
	}
	if !slices.Equal(ds.Info().Classes, o.classifier.Info().Classes) {
		return nil, field.Errorf("%s knows other classes than %s has; name the data set it was trained on with {Data}", o.Model, o.Data)
	}
	return data.First(ds, size), nil
}

// name returns the name of a block.
func (o *opened) name(p place) string { return blockName(o.net.Stages()[p.stage], p.index) }

// names lists blocks in their order; the text identifies a set of blocks in the metrics.
func (o *opened) names(ps []place) string {
	var words []string
	for _, p := range sorted(ps) {
		words = append(words, o.name(p))
	}
	return strings.Join(words, " ")
}

func sorted(ps []place) []place {
	ps = slices.Clone(ps)
	slices.SortFunc(ps, func(a, b place) int { return cmp.Or(a.stage-b.stage, a.index-b.index) })
	return ps
}

// candidates returns the blocks that can be left out, and the others, which change the
// shape or differ in form from those behind them.
func (o *opened) candidates() (can, cannot []place) {
	for i, s := range o.net.Stages() {
		for j, b := range s.Blocks {
			if b.Identity() {
				can = append(can, place{i, j})
			} else {
				cannot = append(cannot, place{i, j})
			}
		}
	}
	return can, cannot
}

// Measure says how well a net works without some of its blocks.
type Measure struct {
	LeftOut  string `json:"left_out"` // names of the blocks, separated by spaces
	Blocks   int    `json:"blocks"`   // number of blocks left out
	Loss     Value  `json:"loss"`     // mean cross-entropy
	Accuracy Value  `json:"accuracy"`
}

// ablations measures a net without some of its blocks. It writes each result to the
// folder's metrics at once, so that a resumed study does not measure it again.
type ablations struct {
	*opened
	images data.Dataset
	log    *checkpoint.MetricsLog
	known  map[string]Measure
	OnDone func(Measure)
}

func newAblations(o *opened, images data.Dataset, folder *checkpoint.Run, done func(Measure)) (*ablations, error) {
	l := &ablations{opened: o, images: images, known: map[string]Measure{}, OnDone: done}
	var err error
	if l.log, err = folder.Metrics("left_out", "blocks", "loss", "accuracy"); err != nil { // drops an incomplete last line
		return nil, err
	}
	rows, err := checkpoint.MetricsRows(folder, Measure{})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, l.log.Close())
	}
	for _, m := range rows {
		l.known[m.LeftOut] = m
	}
	return l, nil
}

// without measures the net without the blocks of out.
func (l *ablations) without(ctx context.Context, out []place) (Measure, error) {
	key := l.names(out)
	if m, ok := l.known[key]; ok {
		return m, nil
	}
	stages := l.net.Stages()
	left := map[models.Block]bool{}
	for _, p := range out {
		left[stages[p.stage].Blocks[p.index]] = true
	}
	r, err := l.classifier.With(&Ablation{l.net, left}).Evaluate(ctx, l.images, data.LoaderConfig{Batch: l.Batch}, nil)
	if err != nil {
		return Measure{}, err
	}
	m := Measure{key, len(out), Value(r.Loss), Value(r.Accuracy)}
	if err := errors.Join(l.log.Append(m), l.log.Sync()); err != nil {
		return m, err
	}
	l.known[key] = m
	if l.OnDone != nil {
		l.OnDone(m)
	}
	return m, nil
}

// orWorst turns a loss of NaN into the worst loss there is.
func orWorst(v Value) float64 {
	if math.IsNaN(float64(v)) {
		return math.Inf(1)
	}
	return float64(v)
}

package train

import (
	"context"
	"errors"
	"io"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train/loop"
)

// headOnly is a network of which only the head computes, on features [N, size, 1, 1]. It has the
// parameters of the whole network, by the same names.
type headOnly struct {
	Net  nn.Module `nn:""`
	head *nn.Linear
	size int
}

func (h *headOnly) Forward(x *graph.Node) *graph.Node {
	return h.head.Forward(x.Reshape(x.Shape[0], h.size))
}

// headOf returns m with the computation of its head alone, and the part of m before the head; nil
// unless the head is a linear layer whose output is that of m. input is the shape of one image.
func headOf(m nn.Module, input tensor.Shape) (*headOnly, *nn.Features) {
	at, err := nn.Submodule(m, nn.Head(m))
	if err != nil {
		return nil, nil
	}
	head, ok := at.(*nn.Linear)
	if !ok {
		return nil, nil
	}
	one := append(tensor.Shape{1}, input...)
	g := graph.New(graph.Eval)
	out, err := engine.Trace(m.Forward, g.Input("image", tensor.Float32, one...))
	if err != nil {
		return nil, nil
	}
	last := false
	for _, c := range g.Calls {
		last = last || c.Module == any(head) && c.Output == out
	}
	before, err := nn.CutHead(m, one)
	if err != nil || !last {
		return nil, nil
	}
	f := before.Forward(graph.New(graph.Eval).Input("image", tensor.Float32, one...))
	if len(f.Shape) != 2 || f.Shape[0] != 1 {
		return nil, nil
	}
	return &headOnly{m, head, f.Shape[1]}, before
}

// featureSet is a data set of the features of another one's images.
type featureSet struct {
	data.Dataset
	size   int
	values []float32
	labels []int
}

// Info implements data.Dataset.
func (f *featureSet) Info() data.Info {
	info := f.Dataset.Info()
	info.Channels, info.Height, info.Width = f.size, 1, 1
	return info
}

// Unwrap implements data.View, which finds the targets of the images.
func (f *featureSet) Unwrap() data.Dataset { return f.Dataset }

// Index implements data.View.
func (f *featureSet) Index(i int) int { return i }

// Get implements data.Dataset. Features are no pixels, so only the label is of use.
func (f *featureSet) Get(i int, _ []uint8) (int, error) { return f.labels[i], nil }

// Floats implements data.Floats.
func (f *featureSet) Floats(i int, out []float32) (int, error) {
	copy(out, f.values[i*f.size:(i+1)*f.size])
	return f.labels[i], nil
}

// featuresBatch is the number of images whose features are computed together.
const featuresBatch = 64

// features computes what the part of a network before its head makes of images that are not
// augmented, in size by size pixels. Frozen layers compute the same in a training.
func (p plan) features(ctx context.Context, dev engine.Device, before *nn.Features, size int, ds data.Dataset) (*featureSet, error) {
	ds = data.Resize(ds, p.Resize)
	l, err := data.NewLoader(ds, data.LoaderConfig{Batch: featuresBatch, Workers: p.Workers, Normalize: p.normalize()})
	if err != nil {
		return nil, err
	}
	set := &featureSet{Dataset: ds, size: size, values: make([]float32, 0, ds.Len()*size)}
	r := forward.NewRunner(before, engine.NewStore(dev), p.precision)
	e := l.Epoch(ctx, 0)
	defer e.Close()
	for {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			return set, nil
		}
		if err != nil {
			return nil, err
		}
		out, err := r.Logits(b.Images)
		if err != nil {
			return nil, err
		}
		set.values = append(set.values, out.Data()...)
		for _, label := range b.Labels.Ints() {
			set.labels = append(set.labels, int(label))
		}
		b.Release()
	}
}

// normalize returns the normalisation of all images.
func (p plan) normalize() transforms.Normalize { return p.input(data.Info{}).Preprocess.Normalize() }

// maxFeatures is the largest number of features that are kept, 1 GiB of them.
const maxFeatures = 1 << 28

// probes reports whether the training is a linear probe: only the head of a model with a name is
// trained, on images that are the same in every epoch, so that their features are, too.
func (p plan) probes() bool {
	o := p.options()
	return p.Module == nil && p.Freeze == loop.FreezeBackbone && p.StochasticDepth == 0 &&
		o.Transform == nil && o.Mix == nil && p.Teacher == "" && p.TeacherModule == nil
}

// probing returns the module and the data sets of a linear probe: the head alone, and the features
// of all images, which are computed here, once. Where that is not possible it returns what it was
// given. The probe has the parameters of m, by the same names, and shares them.
func (j *job) probing(ctx context.Context, m nn.Module, train, test data.Dataset) (nn.Module, data.Dataset, data.Dataset, error) {
	if !j.probes() {
		return m, train, test, nil
	}
	head, before := headOf(m, tensor.Shape{train.Info().Channels, j.Resize, j.Resize})
	images := train.Len()
	if test != nil {
		images += test.Len()
	}
	if head == nil || images*head.size > maxFeatures {
		return m, train, test, nil
	}
	of, err := j.features(ctx, j.dev, before, head.size, train)
	if err != nil {
		return nil, nil, nil, err
	}
	if test == nil {
		return head, of, nil, nil
	}
	tests, err := j.features(ctx, j.dev, before, head.size, test)
	if err != nil {
		return nil, nil, nil, err
	}
	return head, of, tests, nil
}

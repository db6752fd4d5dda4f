package data

import (
	"context"
	"fmt"
	"math"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Targeted is a data set whose images have other targets than one class: several labels, values
// or masks. Its Info has Targets, which describes them, in place of Classes. The label that Get
// returns is then not used.
type Targeted interface {
	Dataset
	// Target writes the targets of image i into out, which has the shape
	// Info().Targets.Sized(Height, Width), in row-major order: 1 for a label that the image has
	// and 0 for the others, values in their own units, or a class for every pixel. It is safe
	// for concurrent use and gives the same numbers every time.
	Target(i int, out []float32) error
}

// MaskedImages is a data set of Images with masks that have the size of each image.
type MaskedImages interface {
	Images
	Targeted
	// Mask returns the mask of image i in the size that Image returns, with one channel.
	Mask(i int) (transforms.Image, error)
}

// Names returns the names of the outputs of a model of the data set: classes, labels or values.
func (i Info) Names() []string {
	if i.Targets.Task.Named() == task.Classes {
		return i.Classes
	}
	return i.Targets.Names
}

// Describes returns a description of the targets. For a data set with classes, it has their
// names.
func (i Info) Describes() task.Targets {
	t := i.Targets
	t.Task, t.Names = t.Task.Named(), i.Names()
	return t
}

// hasTargets reports whether the images have other targets than one class.
func (i Info) hasTargets() bool { return i.Targets.Task.Named() != task.Classes }

// targets reads the targets of a data set.
type targets struct {
	info  Info
	set   Targeted
	index func(i int) int // maps an index of the data set to one of set
	size  int             // the number of targets of one image
}

// targetsOf returns the targets of ds, or nil for a data set with classes.
func targetsOf(ds Dataset) (*targets, error) {
	t := &targets{info: ds.Info()}
	if !t.info.hasTargets() {
		return nil, nil
	}
	if err := t.info.Targets.Check(); err != nil {
		return nil, fmt.Errorf("data set %s: %w", t.info.Name, err)
	}
	var ok bool
	if t.set, t.index, ok = As[Targeted](ds); !ok {
		return nil, fmt.Errorf("data set %s describes %s but has no method Target; implement data.Targeted", t.info.Name, t.info.Targets.Task)
	}
	t.size = 1
	for _, n := range t.info.Targets.Sized(t.info.Height, t.info.Width) {
		t.size *= n
	}
	if t.size < 1 {
		return nil, fmt.Errorf("data set %s has targets of the shape %v", t.info.Name, t.info.Targets.Shape)
	}
	return t, nil
}

// read writes the targets of image i, without standardizing them.
func (t *targets) read(i int, out []float32) error {
	if err := t.set.Target(t.index(i), out); err != nil {
		return err
	}
	return t.check(out)
}

// check returns an error for the first invalid target.
func (t *targets) check(out []float32) error {
	highest := 1.0
	if k := len(t.info.Targets.Names); t.info.Targets.Task == task.Masks && k > 1 {
		highest = float64(k - 1)
	}
	for j, v := range out {
		x := float64(v)
		switch t.info.Targets.Task {
		case task.Values:
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return fmt.Errorf("%s is %v; it must be a finite number", t.name(j), v)
			}
		case task.Labels:
			if !(x >= 0 && x <= 1) {
				return fmt.Errorf("%s is %v; it must be 1 where the image has the label and 0 where not", t.name(j), v)
			}
		case task.Masks:
			if !(x >= 0 && x <= highest) || x != math.Trunc(x) {
				return fmt.Errorf("pixel %d of its mask is %v; it must be a whole number from 0 to %v", j, v, highest)
			}
		}
	}
	return nil
}

func (t *targets) name(j int) string {
	if names := t.info.Targets.Names; j < len(names) {
		return fmt.Sprintf("%s %q", t.info.Targets.Task.Singular(), names[j])
	}
	return fmt.Sprintf("target %d", j)
}

// Targets lists the targets of all images of ds, one image after the other, without
// standardizing them. An error names the image.
func Targets(ctx context.Context, ds Dataset) ([]float32, error) {
	t, err := targetsOf(ds)
	if err != nil || t == nil {
		return nil, err
	}
	all := make([]float32, ds.Len()*t.size)
	for i := range ds.Len() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := t.read(i, all[i*t.size:(i+1)*t.size]); err != nil {
			return nil, fmt.Errorf("data set %s, %s: %w", t.info.Name, imageName(ds, i), err)
		}
	}
	return all, nil
}

// imageName returns the name of image i for an error.
func imageName(ds Dataset, i int) string {
	if name := Describe(ds, i); name != "" {
		return name
	}
	return fmt.Sprintf("image %d", i)
}

// Standardized returns a view of a data set with values, for which a Loader returns targets of
// (value - mean)/std. The outputs of a model are converted back with the same numbers, which the
// Targets of the view's Info hold; Answering of checkpoint.Model passes them to a model file. It
// panics unless there are a mean and a std for every value.
func Standardized(ds Dataset, mean, std []float64) Dataset {
	v := standardized{ds, ds.Info()}
	v.info.Targets.Mean, v.info.Targets.Std = mean, std
	if err := v.info.Targets.Check(); err != nil {
		panic(tensor.Misusef("data.Standardized: %w", err))
	}
	return v
}

type standardized struct {
	Dataset
	info Info
}

func (v standardized) Info() Info      { return v.info }
func (v standardized) Unwrap() Dataset { return v.Dataset }
func (v standardized) Index(i int) int { return i }

// MeanStd returns the mean and the std of every value over the images of ds, for Standardized.
// The std is that of the population, and 1 for a value that is constant.
func MeanStd(ctx context.Context, ds Dataset) (mean, std []float64, err error) {
	all, err := Targets(ctx, ds)
	if err != nil {
		return nil, nil, err
	}
	k := len(ds.Info().Targets.Names)
	mean, std = make([]float64, k), make([]float64, k)
	n := float64(len(all) / k)
	for i, v := range all {
		mean[i%k] += float64(v)
	}
	for j := range mean {
		mean[j] /= n
	}
	for i, v := range all {
		d := float64(v) - mean[i%k]
		std[i%k] += float64(d * d)
	}
	for j := range std {
		if std[j] = math.Sqrt(std[j] / n); std[j] == 0 {
			std[j] = 1
		}
	}
	return mean, std, nil
}

// maskOf converts a mask to an image with one byte per pixel.
func maskOf(values []float32, height, width int) (transforms.Image, error) {
	m := transforms.NewImage(1, height, width)
	for i, v := range values {
		if !(v >= 0 && v <= 255) || float32(uint8(v)) != v {
			return m, fmt.Errorf("pixel %d of its mask is %v; it must be a whole number from 0 to 255", i, v)
		}
		m.Pix[i] = uint8(v)
	}
	return m, nil
}

// mask reads the mask of image i of ds, in the size of Info.
func mask(ds Dataset, i int) (transforms.Image, error) {
	info := ds.Info()
	set, index, ok := As[Targeted](ds)
	if !ok {
		return transforms.Image{}, fmt.Errorf("data set %s has no masks", info.Name)
	}
	values := make([]float32, info.Height*info.Width)
	if err := set.Target(index(i), values); err != nil {
		return transforms.Image{}, err
	}
	return maskOf(values, info.Height, info.Width)
}

// changedTarget implements Target for a view that applies change to the images of ds. It applies
// change to masks too, but not to other targets.
func changedTarget(ds Dataset, i int, out []float32, change func(transforms.Image) transforms.Image) error {
	set, index, ok := As[Targeted](ds)
	if !ok {
		return fmt.Errorf("data set %s has no targets", ds.Info().Name)
	}
	if ds.Info().Targets.Task != task.Masks {
		return set.Target(index(i), out)
	}
	m, err := mask(ds, i)
	if err != nil {
		return err
	}
	for j, v := range change(m).Pix {
		out[j] = float32(v)
	}
	return nil
}

// Target implements Targeted, for a set that has targets.
func (v *resized) Target(i int, out []float32) error {
	return changedTarget(v.ds, i, out, func(m transforms.Image) transforms.Image {
		return transforms.Resize{Height: v.info.Height, Width: v.info.Width, Interpolation: transforms.Nearest}.Apply(m, nil)
	})
}

// Mask implements MaskedImages.
func (v resizedImages) Mask(i int) (transforms.Image, error) { return mask(v.ds, i) }

// Target implements Targeted, for a set that has targets.
func (v *cropped) Target(i int, out []float32) error {
	p := v.preset
	p.Interpolation = transforms.Nearest
	return changedTarget(v.ds, i, out, p.Pixels)
}

// areMasks reports whether the targets change with the images.
func (t *targets) areMasks() bool { return t != nil && t.info.Targets.Task == task.Masks }

// target writes the targets of image i, which is image k of the batch, standardized if the data
// set says so.
func (b *Batch) target(k, i int) error {
	t := b.loader.targets
	out := b.targets[k*t.size : (k+1)*t.size]
	if t.areMasks() && b.loader.c.Transform != nil {
		if len(b.mask.Pix) != t.size {
			return fmt.Errorf("the transforms return a mask of [%d, %d, %d]", b.mask.Channels, b.mask.Height, b.mask.Width)
		}
		for j, v := range b.mask.Pix {
			out[j] = float32(v)
		}
		return t.check(out)
	}
	if err := t.read(i, out); err != nil {
		return err
	}
	if d := t.info.Targets; d.Std != nil {
		for j, v := range out {
			out[j] = d.Standard(j, float64(v))
		}
	}
	return nil
}

// transformedMask is transformed for an image with a mask. It stores the mask in b.mask.
func (b *Batch) transformedMask(epoch, i int) (m transforms.Image, label int, err error) {
	l := b.loader
	var failed error
	label, err = l.originals.lend(i, func(in transforms.Image) {
		var own transforms.Image
		if own, failed = l.originals.mask(i, in); failed != nil {
			return
		}
		b.rand.Image(l.c.Seed, epoch, b.key)
		defer func() { // as in apply
			if m := tensor.Recovered(recover()); m != nil {
				failed = fmt.Errorf("its transform failed: %w", m)
			}
		}()
		m, b.mask, failed = transforms.ApplyMasked(l.c.Transform, in, own, &b.rand)
	})
	if err == nil {
		err = failed
	}
	return m, label, err
}

// mask returns the mask of the image that lend lends.
func (s originals) mask(i int, of transforms.Image) (transforms.Image, error) {
	if masked, ok := s.images.(MaskedImages); ok {
		return masked.Mask(s.index(i))
	}
	info := s.ds.Info()
	if of.Height != info.Height || of.Width != info.Width {
		return of, fmt.Errorf("it has %d by %d pixels and its mask %d by %d; implement data.MaskedImages", of.Height, of.Width, info.Height, info.Width)
	}
	return mask(s.ds, i)
}

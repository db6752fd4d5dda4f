package data

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/residual-ml/residual/task"
)

// Sampler chooses the images of every epoch of a Loader, as a sampler of torch.utils.data does.
// It must depend on its arguments alone, so that an epoch can be repeated: then any number of
// workers gives the same batches, and a training that is resumed has the same epochs.
type Sampler interface {
	// Sample returns the indices of the images of an epoch in their order, each from 0 to
	// length-1. An index may repeat. All epochs must have the same number of images.
	Sample(epoch int, seed uint64, length int) ([]int, error)
}

// SamplerFunc is a function as a Sampler.
type SamplerFunc func(epoch int, seed uint64, length int) ([]int, error)

// Sample calls f.
func (f SamplerFunc) Sample(epoch int, seed uint64, length int) ([]int, error) {
	return f(epoch, seed, length)
}

// SequentialSampler gives all images in the order of the data set. It is what a Loader does
// without Shuffle.
type SequentialSampler struct{}

// Sample implements Sampler.
func (SequentialSampler) Sample(_ int, _ uint64, length int) ([]int, error) {
	order := make([]int, length)
	for i := range order {
		order[i] = i
	}
	return order, nil
}

// ShuffledSampler gives all images in a new order in every epoch. It is what a Loader does with
// Shuffle, to the last bit.
type ShuffledSampler struct{}

// Sample implements Sampler.
func (ShuffledSampler) Sample(epoch int, seed uint64, length int) ([]int, error) {
	return widened(shuffled(epoch, seed, length)), nil
}

// shuffled returns the order of the images with LoaderConfig.Shuffle.
func shuffled(epoch int, seed uint64, length int) []int32 {
	var r random
	r.reset(seed, streamOrder, uint64(epoch))
	return r.permutation(length)
}

func widened(order []int32) []int {
	wide := make([]int, len(order))
	for i, v := range order {
		wide[i] = int(v)
	}
	return wide
}

// RepeatedSampler gives the images of several epochs of another sampler as one epoch, for data
// sets so small that a pass over them is only a few steps. Each image then occurs Times times in an
// epoch if Of takes each once, with other random numbers for its Transform every time.
type RepeatedSampler struct {
	Of    Sampler // nil stands for ShuffledSampler
	Times int     // at least 1
}

// Sample implements Sampler.
func (s RepeatedSampler) Sample(epoch int, seed uint64, length int) (order []int, err error) {
	of := s.Of
	if of == nil {
		of = ShuffledSampler{}
	}
	for k := range max(s.Times, 1) {
		pass, err := of.Sample((epoch-1)*max(s.Times, 1)+k+1, seed, length)
		if err != nil {
			return nil, err
		}
		order = append(order, pass...)
	}
	return order, nil
}

// SubsetSampler gives the images at Indices alone, in a new order in every epoch, as
// SubsetRandomSampler of PyTorch does.
type SubsetSampler struct{ Indices []int }

// Sample implements Sampler.
func (s SubsetSampler) Sample(epoch int, seed uint64, _ int) ([]int, error) {
	order := widened(shuffled(epoch, seed, len(s.Indices)))
	for i, k := range order {
		order[i] = s.Indices[k]
	}
	return order, nil
}

// WeightedSampler draws images at random with replacement, image i with a probability
// proportional to Weights[i], as WeightedRandomSampler of PyTorch does.
type WeightedSampler struct {
	Weights []float64 // one for each image, of at least 0
	Samples int       // images in an epoch; 0 means as many as the data set has
}

// Sample implements Sampler. It returns an error unless there is a finite weight of at least 0
// for each image, and one above 0 among them.
func (s WeightedSampler) Sample(epoch int, seed uint64, length int) ([]int, error) {
	if len(s.Weights) != length {
		return nil, fmt.Errorf("a WeightedSampler with %d weights for %d images; give one for each image", len(s.Weights), length)
	}
	sums, total := make([]float64, length), 0.0
	for i, w := range s.Weights {
		if !(w >= 0) || math.IsInf(w, 1) {
			return nil, fmt.Errorf("a WeightedSampler with the weight %v for image %d; give a finite number of at least 0", w, i)
		}
		total += w
		sums[i] = total
	}
	if !(total > 0) || math.IsInf(total, 1) {
		return nil, fmt.Errorf("a WeightedSampler whose weights have the sum %v; it must be a finite number above 0", total)
	}
	n := s.Samples
	if n == 0 {
		n = length
	}
	order := make([]int, max(n, 0))
	var r random
	r.reset(seed, streamSample, uint64(epoch))
	for k := range order {
		at := r.between(0, total)
		// The last sum is total, and a number that rounding brings to it means the last image
		// with a weight.
		order[k] = sort.Search(length-1, func(i int) bool { return sums[i] > at })
		for s.Weights[order[k]] == 0 {
			order[k]--
		}
	}
	return order, nil
}

// BalancedSampler returns a sampler that draws the images of ds with replacement so that every
// class is drawn equally often on average, however many images it has. For a data set of labels
// an image counts as one of its rarest label, and the images without labels count as a class of
// their own. Values and masks have no classes to balance, so for them it returns an error.
func BalancedSampler(ctx context.Context, ds Dataset) (WeightedSampler, error) {
	of, err := rarest(ctx, ds)
	if err != nil {
		return WeightedSampler{}, err
	}
	counts := map[int]int{}
	for _, class := range of {
		counts[class]++
	}
	s := WeightedSampler{Weights: make([]float64, len(of))}
	for i, class := range of {
		s.Weights[i] = 1 / float64(counts[class])
	}
	return s, nil
}

// rarest returns the class of every image or, for a data set of labels, the label that the
// fewest images have among those of the image, and -1 for an image without one.
func rarest(ctx context.Context, ds Dataset) ([]int, error) {
	info := ds.Info()
	switch of := info.Targets.Task.Named(); of {
	case task.Classes:
		return Labels(ctx, ds)
	case task.Labels:
	default:
		return nil, fmt.Errorf("the targets of data set %s are %s, which have no classes to balance; use a sampler of another kind", info.Name, of)
	}
	all, err := Targets(ctx, ds)
	if err != nil {
		return nil, err
	}
	k := len(info.Targets.Names)
	counts := make([]int, k)
	for i, v := range all {
		if v > 0 {
			counts[i%k]++
		}
	}
	list := make([]int, ds.Len())
	for i := range list {
		list[i] = -1
		for label, v := range all[i*k : (i+1)*k] {
			if v > 0 && (list[i] < 0 || counts[label] < counts[list[i]]) {
				list[i] = label
			}
		}
	}
	return list, nil
}

// sample returns the indices of an epoch of a loader with a Sampler.
func (l *Loader) sample(epoch int) ([]int, error) {
	order, err := l.c.Sampler.Sample(epoch, l.c.Seed, l.length)
	if err != nil {
		return nil, fmt.Errorf("the sampler of data set %s: %w", l.info.Name, err)
	}
	for k, i := range order {
		if i < 0 || i >= l.length {
			return nil, fmt.Errorf("the sampler gave image %d in place %d of epoch %d; data set %s has images 0 to %d", i, k, epoch, l.info.Name, l.length-1)
		}
	}
	return order, nil
}

// begin sets the order of the images of e.
func (e *Epoch) begin() error {
	l := e.l
	if l.c.Sampler == nil {
		if l.c.Shuffle {
			e.order = shuffled(e.epoch, l.c.Seed, l.length)
		}
		return nil
	}
	order, err := l.sample(e.epoch)
	if err == nil && len(order) != l.total {
		err = fmt.Errorf("the sampler of data set %s gave %d images in epoch %d and %d in the first; all epochs must have the same number", l.info.Name, len(order), e.epoch, l.total)
	}
	if err != nil {
		return err
	}
	e.order = make([]int32, len(order))
	for k, i := range order {
		e.order[k] = int32(i)
	}
	e.keys = repetitions(order, l.length)
	return nil
}

// repetitions returns, for each place in an order of images, the number that starts the random
// generator of the image there: its index at its first place, and another number at each
// further one, so that the copies of an image are augmented differently. It returns nil if no
// image repeats.
func repetitions(order []int, length int) []int {
	keys, count := slices.Clone(order), make([]int, length)
	repeats := false
	for k, i := range order {
		keys[k] += count[i] * length
		repeats = repeats || count[i] > 0
		count[i]++
	}
	if !repeats {
		return nil
	}
	return keys
}

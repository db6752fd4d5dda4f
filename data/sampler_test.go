package data

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/task"
)

// sampled returns the indices of the images of an epoch and the sizes of its batches.
func sampled(t *testing.T, ds Dataset, c LoaderConfig, epoch int) (all, sizes []int) {
	t.Helper()
	l, err := NewLoader(ds, c)
	if err != nil {
		t.Fatal(err)
	}
	if all, sizes = indices(t, l, epoch); len(sizes) != l.Batches() || len(all) != l.Samples() {
		t.Errorf("%d batches and %d images, announced were %d and %d", len(sizes), len(all), l.Batches(), l.Samples())
	}
	return all, sizes
}

// tagged is a data set of labels, or of other targets.
type tagged struct {
	squares
	task task.Task
	tags [][2]float32
}

func (s tagged) Info() Info {
	info := s.squares.Info()
	info.Classes, info.Targets = nil, task.Targets{Task: s.task, Names: []string{"often", "rare"}}
	return info
}
func (s tagged) Target(i int, out []float32) error {
	copy(out, s.tags[i][:])
	return nil
}

// The samplers of all images give the orders that Shuffle and its absence give.
func TestSamplersGiveTheOrdersOfShuffle(t *testing.T) {
	ds := squares{n: 37}
	for epoch := range 3 {
		want, _ := sampled(t, ds, LoaderConfig{Batch: 8, Shuffle: true, Seed: 5}, epoch)
		if got, _ := sampled(t, ds, LoaderConfig{Batch: 8, Seed: 5, Sampler: ShuffledSampler{}}, epoch); !slices.Equal(got, want) {
			t.Errorf("epoch %d shuffled: %v, want %v", epoch, got, want)
		}
		want, _ = sampled(t, ds, LoaderConfig{Batch: 8}, epoch)
		if got, _ := sampled(t, ds, LoaderConfig{Batch: 8, Sampler: SequentialSampler{}}, epoch); !slices.Equal(got, want) {
			t.Errorf("epoch %d in sequence: %v, want %v", epoch, got, want)
		}
	}
}

// A sampler that repeats images gives the same batches for any number of workers, and in an
// epoch that is read again.
func TestSampledBatchesAreTheSameForAnyWorkers(t *testing.T) {
	ds := squares{n: 60, slow: true}
	weights := make([]float64, ds.n)
	for i := range weights {
		weights[i] = float64(i % 4)
	}
	var want []string
	for workers := 1; workers <= 4; workers++ {
		l, err := NewLoader(ds, LoaderConfig{Batch: 7, Seed: 2, Workers: workers, Sampler: WeightedSampler{Weights: weights, Samples: 100}, Even: true})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{digest(t, l, 1), digest(t, l, 2), digest(t, l, 1)}
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) || got[0] != got[2] || got[0] == got[1] {
			t.Errorf("%d workers: %v", workers, got)
		}
	}
}

// WeightedSampler draws images in proportion to their weights, and never one of weight 0.
func TestWeightedSampler(t *testing.T) {
	weights := []float64{0, 1, 2, 0, 5, 0}
	order, err := WeightedSampler{Weights: weights, Samples: 80_000}.Sample(3, 9, len(weights))
	if err != nil || len(order) != 80_000 {
		t.Fatal(len(order), err)
	}
	counts := make([]float64, len(weights))
	for _, i := range order {
		counts[i]++
	}
	for i, w := range weights {
		mean := 10_000 * w
		if math.Abs(counts[i]-mean) > 5*math.Sqrt(mean) {
			t.Errorf("image %d was drawn %v times, expected %v", i, counts[i], mean)
		}
	}
	all, sizes := sampled(t, squares{n: 6}, LoaderConfig{Batch: 4, Sampler: WeightedSampler{Weights: weights}}, 1)
	if len(all) != 6 || !slices.Equal(sizes, []int{4, 2}) {
		t.Errorf("%v in batches of %v", all, sizes)
	}
}

// SubsetSampler gives its images alone, each once, in a new order in every epoch.
func TestSubsetSampler(t *testing.T) {
	subset := SubsetSampler{[]int{30, 4, 11, 12, 25, 7, 19}}
	var orders [][]int
	for epoch := 1; epoch <= 2; epoch++ {
		all, sizes := sampled(t, squares{n: 31}, LoaderConfig{Batch: 4, Sampler: subset}, epoch)
		if got := slices.Sorted(slices.Values(all)); !slices.Equal(got, []int{4, 7, 11, 12, 19, 25, 30}) || !slices.Equal(sizes, []int{4, 3}) {
			t.Errorf("%v in batches of %v", all, sizes)
		}
		orders = append(orders, all)
	}
	if slices.Equal(orders[0], orders[1]) {
		t.Error("two epochs have the same order")
	}
}

// The copies of an image in an epoch are augmented differently, and its first one as without a
// sampler.
func TestRepeatedImagesAreAugmentedDifferently(t *testing.T) {
	ds := sized{augmentable(4)}
	crop := transforms.RandomResizedCrop{Height: 12, Width: 10}
	plain, _, err := epochImages(t, ds, LoaderConfig{Batch: 4, Transform: crop, Seed: 3}, 2)
	if err != nil {
		t.Fatal(err)
	}
	twice := SamplerFunc(func(int, uint64, int) ([]int, error) { return []int{2, 2, 1, 2}, nil })
	l, err := NewLoader(ds, LoaderConfig{Batch: 4, Transform: crop, Seed: 3, Sampler: twice})
	if err != nil {
		t.Fatal(err)
	}
	e := l.Epoch(context.Background(), 2)
	defer e.Close()
	b, err := e.Next()
	if err != nil {
		t.Fatal(err)
	}
	n := ds.Info().Numel()
	copyOf := func(k int) []float32 { return b.Images.Data()[k*n : (k+1)*n] }
	if !slices.Equal(copyOf(0), plain[2]) || !slices.Equal(copyOf(2), plain[1]) {
		t.Error("the first copy of an image is not the one without a sampler")
	}
	if slices.Equal(copyOf(0), copyOf(1)) || slices.Equal(copyOf(0), copyOf(3)) || slices.Equal(copyOf(1), copyOf(3)) {
		t.Error("two copies of an image are the same")
	}
}

// BalancedSampler draws all classes equally often; of several labels the rarest counts.
func TestBalancedSampler(t *testing.T) {
	ds := augmentable(90)
	for i := range ds.labels {
		ds.labels[i] = uint8(min(i/60+i/85, 2)) // 60, 25 and 5 images
	}
	s, err := BalancedSampler(t.Context(), First(Subset(ds, []int{0, 1, 2, 61, 62, 89, 88}), 6))
	if want := []float64{1. / 3, 1. / 3, 1. / 3, 1. / 2, 1. / 2, 1}; err != nil || !slices.Equal(s.Weights, want) {
		t.Errorf("the weights of a view are %v, want %v (%v)", s.Weights, want, err)
	}
	if s, err = BalancedSampler(t.Context(), ds); err != nil {
		t.Fatal(err)
	}
	s.Samples = 30_000
	order, err := s.Sample(1, 1, ds.Len())
	if err != nil {
		t.Fatal(err)
	}
	var counts [3]float64
	for _, i := range order {
		counts[ds.labels[i]]++
	}
	for class, n := range counts {
		if math.Abs(n-10_000) > 5*math.Sqrt(10_000) {
			t.Errorf("class %d was drawn %v times of 30,000", class, n)
		}
	}
	several := tagged{squares{n: 5}, task.Labels, [][2]float32{{1, 0}, {1, 0}, {1, 1}, {0, 0}, {1, 0}}}
	if s, err = BalancedSampler(t.Context(), several); err != nil || !slices.Equal(s.Weights, []float64{1. / 3, 1. / 3, 1, 1, 1. / 3}) {
		t.Errorf("of several labels: %v, %v", s.Weights, err)
	}
	if _, err := BalancedSampler(t.Context(), tagged{several.squares, task.Values, several.tags}); err == nil || !strings.Contains(err.Error(), "no classes to balance") {
		t.Errorf("of values: %v", err)
	}
}

func TestLoaderRefusesSamplers(t *testing.T) {
	ds, torn := squares{n: 5}, errors.New("torn")
	fixed := func(order []int, err error) Sampler {
		return SamplerFunc(func(int, uint64, int) ([]int, error) { return order, err })
	}
	for _, c := range []struct {
		sampler Sampler
		drop    bool
		want    string
	}{
		{fixed(nil, torn), false, "torn"},
		{fixed(nil, nil), false, "gave no images"},
		{fixed([]int{0, 5}, nil), false, "gave image 5 in place 1 of epoch 1; data set squares has images 0 to 4"},
		{fixed([]int{-1}, nil), false, "gave image -1"},
		{fixed([]int{1}, nil), true, "gives by its sampler 1 images, fewer than one batch of 2"},
		{WeightedSampler{Weights: []float64{1}}, false, "1 weights for 5 images"},
		{WeightedSampler{Weights: []float64{1, 1, math.NaN(), 1, 1}}, false, "weight NaN for image 2"},
		{WeightedSampler{Weights: make([]float64, 5)}, false, "the sum 0"},
		{WeightedSampler{Weights: []float64{1, 1, -1, 1, 1}}, false, "weight -1"},
	} {
		if _, err := NewLoader(ds, LoaderConfig{Batch: 2, Sampler: c.sampler, DropLast: c.drop}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	growing := SamplerFunc(func(epoch int, _ uint64, _ int) ([]int, error) { return make([]int, epoch), nil })
	l, err := NewLoader(ds, LoaderConfig{Batch: 2, Sampler: growing})
	if err != nil {
		t.Fatal(err)
	}
	e := l.Epoch(t.Context(), 3)
	defer e.Close()
	for range 2 {
		if _, err := e.Next(); err == nil || !strings.Contains(err.Error(), "3 images in epoch 3 and 1 in the first") {
			t.Errorf("another number of images: %v", err)
		}
	}
}

// relabelled is a view of the user's own that selects images and gives them labels and names of
// its own.
type relabelled struct{ Dataset }

func (v relabelled) Info() Info {
	info := v.Dataset.Info()
	info.Classes = []string{"even", "odd"}
	return info
}
func (v relabelled) Len() int        { return v.Dataset.Len() / 2 }
func (v relabelled) Unwrap() Dataset { return v.Dataset }
func (v relabelled) Index(i int) int { return 2*i + 1 }
func (v relabelled) Get(i int, pix []uint8) (int, error) {
	_, err := v.Dataset.Get(v.Index(i), pix)
	return i % 2, err
}
func (v relabelled) Describe(i int) (int, string) {
	return i % 2, "mine:" + Describe(v.Dataset, v.Index(i))
}

// A view that describes its images itself is believed, also behind other views, and one that
// does not has the description of the images behind it.
func TestWrappedSetsAreDescribedTruly(t *testing.T) {
	base := capable{parted{sized{augmentable(9)}, new(atomic.Int64), new(atomic.Int64)}, new(atomic.Int64)}
	ds := Subset(relabelled{base}, []int{3, 0, 2})
	labels, err := Labels(t.Context(), ds)
	if err != nil || !slices.Equal(labels, []int{1, 0, 0}) || Describe(ds, 0) != "mine:h" || ds.Info().Classes[1] != "odd" {
		t.Errorf("labels %v, name %q, %v", labels, Describe(ds, 0), err)
	}
	s, err := BalancedSampler(t.Context(), ds)
	if err != nil || !slices.Equal(s.Weights, []float64{1, 0.5, 0.5}) {
		t.Errorf("weights %v, %v", s.Weights, err)
	}
	crop := transforms.RandomResizedCrop{Height: 12, Width: 10}
	for name, c := range map[string]LoaderConfig{
		"pixels": {}, "parts": {Transform: crop}, "full images": {Transform: transforms.Compose{transforms.RandomHorizontalFlip{P: 0.5}, crop}},
	} {
		c.Batch = 3
		l, err := NewLoader(ds, c)
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range l.Epoch(t.Context(), 1).All() {
			if err != nil || !slices.Equal(b.Labels.Ints(), []int64{1, 0, 0}) {
				t.Errorf("%s: the loader gives the labels %v, %v", name, b.Labels, err)
			}
		}
	}
	if label, err := Lend(Cropped(ds, transforms.ImageClassification{ResizeSize: 8, CropSize: 6}), 0, func(transforms.Image) {}); label != 1 || err != nil {
		t.Errorf("a crop of the view has the label %d, %v", label, err)
	}
}

// A range over All gives every batch once, releases them, and ends after an error.
func TestEpochAll(t *testing.T) {
	l, err := NewLoader(squares{n: 10}, LoaderConfig{Batch: 4, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	var seen []int
	var first *Batch
	for b, err := range l.Epoch(t.Context(), 1).All() {
		if err != nil || len(b.Indices) == 0 {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		}
		seen = append(seen, b.Indices...)
	}
	if !slices.Equal(seen, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) || first.outstanding.Load() {
		t.Errorf("seen %v, the first batch is still out: %v", seen, first.outstanding.Load())
	}
	e := l.Epoch(t.Context(), 1)
	for b, err := range e.All() {
		first = b
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if _, err := e.Next(); err == nil || first.outstanding.Load() {
		t.Errorf("a loop that was left does not close the epoch: %v", err)
	}
	if l, err = NewLoader(squares{n: 10, fail: 5}, LoaderConfig{Batch: 4}); err != nil {
		t.Fatal(err)
	}
	var failures []error
	for _, err := range l.Epoch(t.Context(), 1).All() {
		if err != nil {
			failures = append(failures, err)
		}
	}
	if len(failures) != 1 || !errors.Is(failures[0], errDisk) {
		t.Errorf("the errors are %v", failures)
	}
}

// A repeated epoch is several epochs of its sampler, one after the other.
func TestRepeatedSampler(t *testing.T) {
	ds := squares{n: 7}
	for epoch := 1; epoch <= 2; epoch++ {
		var want []int
		for pass := range 3 {
			order, _ := sampled(t, ds, LoaderConfig{Batch: 4, Shuffle: true, Seed: 5}, 3*(epoch-1)+pass+1)
			want = append(want, order...)
		}
		if got, _ := sampled(t, ds, LoaderConfig{Batch: 4, Seed: 5, Sampler: RepeatedSampler{Times: 3}}, epoch); !slices.Equal(got, want) {
			t.Errorf("epoch %d: %v, want %v", epoch, got, want)
		}
	}
	weighted := WeightedSampler{Weights: []float64{1, 0, 0, 0, 0, 0, 1}}
	got, sizes := sampled(t, ds, LoaderConfig{Batch: 32, Sampler: RepeatedSampler{Of: weighted, Times: 2}}, 1)
	if len(got) != 14 || len(sizes) != 1 || slices.ContainsFunc(got, func(i int) bool { return i != 0 && i != 6 }) {
		t.Errorf("of a weighted sampler: %v in batches of %v", got, sizes)
	}
	failing := SamplerFunc(func(int, uint64, int) ([]int, error) { return nil, errors.New("no") })
	if _, err := (RepeatedSampler{Of: failing}).Sample(1, 0, 7); err == nil {
		t.Error("the error of a sampler was dropped")
	}
}

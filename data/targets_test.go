package data_test

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// answers is a data set with any targets: the pixels of image i count from i, and of writes its
// targets.
type answers struct {
	targets task.Targets
	n, size int
	of      func(i int, out []float32)
}

func (a answers) Len() int { return a.n }
func (a answers) Info() data.Info {
	return data.Info{Name: "answers", Channels: 1, Height: a.size, Width: a.size, Targets: a.targets}
}
func (a answers) Get(i int, pix []uint8) (int, error) {
	for p := range pix {
		pix[p] = uint8(i + p)
	}
	return 99, nil // a label that must be ignored
}
func (a answers) Target(i int, out []float32) error {
	if a.of == nil {
		return errors.New("torn")
	}
	a.of(i, out)
	return nil
}

func values(n int) answers {
	return answers{task.Targets{Task: task.Values, Names: []string{"age", "weight"}}, n, 4, func(i int, out []float32) { out[0], out[1] = float32(i), 1000+float32(2*i) }}
}

func masks(n int) answers {
	return answers{task.Targets{Task: task.Masks, Names: make256()}, n, 8, func(i int, out []float32) {
		for p := range out {
			out[p] = float32(uint8(i + p))
		}
	}}
}

// make256 returns 256 class names, one for each value of a byte.
func make256() (names []string) {
	for i := range 256 {
		names = append(names, "class "+string(rune('a'+i)))
	}
	return names
}

// all reads all batches of an epoch.
func all(t *testing.T, ds data.Dataset, c data.LoaderConfig) (indices []int, images, targets []float32, shapes []tensor.Shape) {
	t.Helper()
	l, err := data.NewLoader(ds, c)
	if err != nil {
		t.Fatal(err)
	}
	e := l.Epoch(context.Background(), 1)
	for {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			return indices, images, targets, shapes
		}
		if err != nil {
			t.Fatal(err)
		}
		indices, images = append(indices, b.Indices...), append(images, b.Images.Data()...)
		targets, shapes = append(targets, b.Targets.Data()...), append(shapes, b.Targets.Shape())
		b.Release()
	}
}

func TestBatchesHaveTargets(t *testing.T) {
	for _, workers := range []int{1, 4} {
		indices, _, got, shapes := all(t, values(11), data.LoaderConfig{Batch: 4, Shuffle: true, Seed: 3, Workers: workers})
		if len(indices) != 11 || !shapes[0].Equal(tensor.Shape{4, 2}) || !shapes[2].Equal(tensor.Shape{3, 2}) {
			t.Fatalf("%v, %v", indices, shapes)
		}
		for k, i := range indices {
			if got[2*k] != float32(i) || got[2*k+1] != 1000+float32(2*i) {
				t.Errorf("image %d has the targets %v", i, got[2*k:2*k+2])
			}
		}
	}
}

// Views have the description of the targets, and the targets of their images.
func TestViewsKeepTargets(t *testing.T) {
	mean, std, err := data.MeanStd(context.Background(), values(11))
	if err != nil || mean[0] != 5 || math.Abs(std[0]-math.Sqrt(10)) > 1e-12 || mean[1] != 1010 {
		t.Fatal(mean, std, err)
	}
	ds := data.Subset(data.Standardized(values(11), mean, std), []int{10, 5, 0, 3})
	ds = data.First(data.Resize(ds, 6), 3)
	info := ds.Info()
	if info.Targets.Mean[0] != 5 || !slices.Equal(info.Names(), []string{"age", "weight"}) {
		t.Fatalf("%+v", info)
	}
	_, _, got, _ := all(t, ds, data.LoaderConfig{Batch: 3, Transform: transforms.Compose{transforms.Resize{Height: 6, Width: 6}, transforms.RandomHorizontalFlip{}}})
	for k, i := range []float64{10, 5, 0} {
		if want := (i - 5) / std[0]; math.Abs(float64(got[2*k])-want) > 1e-6 || math.Abs(float64(got[2*k+1])-want) > 1e-5 {
			t.Errorf("image %v is trained on %v, want %v", i, got[2*k:2*k+2], want)
		}
	}
	raw, err := data.Targets(context.Background(), ds)
	if err != nil || !slices.Equal(raw, []float32{10, 1020, 5, 1010, 0, 1000}) {
		t.Errorf("%v, %v", raw, err)
	}
}

// Views and transforms move a mask in the same way as its image.
func TestMasksMoveWithTheirImages(t *testing.T) {
	still := data.LoaderConfig{Batch: 3}
	flips := data.LoaderConfig{Batch: 3, Seed: 9, Transform: transforms.Compose{
		transforms.RandomResizedCrop{Size: 8, Interpolation: transforms.Nearest}, transforms.RandomHorizontalFlip{}, transforms.RandomRotation{Degrees: 30},
	}}
	for name, c := range map[string]struct {
		ds     data.Dataset
		config data.LoaderConfig
	}{
		"as they are": {masks(5), still}, "transformed": {masks(5), flips}, "selected": {data.Subset(masks(9), []int{7, 2, 2}), flips},
		"resized, then transformed": {data.Resize(data.Subset(masks(9), []int{7, 2, 2}), 8), flips},
		"cut":                       {data.Cropped(masks(5), transforms.ImageClassification{ResizeSize: 8, CropSize: 6}), still},
	} {
		_, images, got, shapes := all(t, c.ds, c.config)
		if s := c.ds.Info(); !shapes[0].Equal(tensor.Shape{3, s.Height, s.Width}) {
			t.Fatalf("%s: %v", name, shapes)
		}
		for i, v := range got {
			if math.Abs(float64(images[i])*255-float64(v)) > 1e-3 {
				t.Fatalf("%s: element %d of the masks is %v, of the images %v", name, i, v, images[i]*255)
			}
		}
	}
	// A resized mask has only classes that it had before.
	small := data.Resize(answers{task.Targets{Task: task.Masks}, 2, 8, func(i int, out []float32) {
		for p := range out {
			out[p] = float32(p / 3 % 2)
		}
	}}, 5)
	_, _, got, shapes := all(t, small, still)
	if !shapes[0].Equal(tensor.Shape{2, 1, 5, 5}) || slices.ContainsFunc(got, func(v float32) bool { return v != 0 && v != 1 }) || !slices.Contains(got, 1) {
		t.Errorf("%v %v", shapes, got)
	}
}

func TestTargetErrors(t *testing.T) {
	one := func(targets task.Targets, v float32) answers {
		return answers{targets, 3, 2, func(i int, out []float32) {
			for p := range out {
				out[p] = v
			}
		}}
	}
	labels := task.Targets{Task: task.Labels, Names: []string{"cat", "dog"}}
	for want, ds := range map[string]data.Dataset{
		`image 0: label "cat" is 2; it must be 1 where`:                              one(labels, 2),
		`image 0: value "age" is NaN; it must be a finite number`:                    one(values(1).targets, float32(math.NaN())),
		"image 0: pixel 0 of its mask is 0.5; it must be a whole number from 0 to 1": one(task.Targets{Task: task.Masks}, 0.5),
		"image 0: torn": answers{targets: labels, n: 1, size: 2},
	} {
		l, err := data.NewLoader(ds, data.LoaderConfig{Batch: 2})
		if err != nil {
			t.Fatal(err)
		}
		e := l.Epoch(context.Background(), 0)
		if _, err := e.Next(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		e.Close()
	}
	if _, err := data.NewLoader(one(labels, 1), data.LoaderConfig{Batch: 2, Mix: transforms.Mixup{Alpha: 1}}); err == nil || !strings.Contains(err.Error(), "labels, which cannot be mixed") {
		t.Error(err)
	}
	if _, err := data.NewLoader(one(task.Targets{Task: "boxes"}, 1), data.LoaderConfig{Batch: 2}); err == nil || !strings.Contains(err.Error(), `unknown task "boxes"`) {
		t.Error(err)
	}
	if _, err := data.NewLoader(untold{}, data.LoaderConfig{Batch: 2}); err == nil || !strings.Contains(err.Error(), "has no method Target") {
		t.Error(err)
	}
}

// untold describes labels but has no method Target.
type untold struct{}

func (untold) Len() int { return 1 }
func (untold) Info() data.Info {
	return data.Info{Name: "untold", Channels: 1, Height: 1, Width: 1, Targets: task.Targets{Task: task.Labels, Names: []string{"a"}}}
}
func (untold) Get(int, []uint8) (int, error) { return 0, nil }

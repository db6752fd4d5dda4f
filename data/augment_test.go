package data

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// sized is a data set whose images have sizes of their own, larger than that of Info.
type sized struct{ *memory }

func (s sized) Image(i int) (transforms.Image, int, error) {
	m := transforms.NewImage(s.info.Channels, s.info.Height+i%5, s.info.Width+i%3)
	for k := range m.Pix {
		m.Pix[k] = uint8(i*31 + k)
	}
	return m, int(s.labels[i]), nil
}

func augmentable(n int) *memory {
	m := &memory{info: Info{Name: "test", Classes: []string{"a", "b", "c"}, Channels: 3, Height: 12, Width: 10}}
	m.pixels, m.labels = make([]uint8, n*m.info.Numel()), make([]uint8, n)
	for i := range m.pixels {
		m.pixels[i] = uint8(i * 7)
	}
	for i := range m.labels {
		m.labels[i] = uint8(i % 3)
	}
	return m
}

// epochImages returns the images and targets of an epoch by their index in the data set.
func epochImages(t *testing.T, ds Dataset, c LoaderConfig, epoch int) (images, targets map[int][]float32, err error) {
	t.Helper()
	l, err := NewLoader(ds, c)
	if err != nil {
		t.Fatal(err)
	}
	images, targets = map[int][]float32{}, map[int][]float32{}
	e := l.Epoch(context.Background(), epoch)
	defer e.Close()
	for {
		b, err := e.Next()
		if err == io.EOF {
			return images, targets, nil
		}
		if err != nil {
			return nil, nil, err
		}
		size := ds.Info().Numel()
		for k, i := range b.Indices {
			images[i] = slices.Clone(b.Images.Data()[k*size : (k+1)*size])
			if b.Targets != nil {
				targets[i] = slices.Clone(b.Targets.Data()[k*3 : (k+1)*3])
			}
		}
		b.Release()
	}
}

// The random numbers of a transform depend only on the seed, the epoch and the image. They
// do not depend on the workers or the batch.
func TestTransformsDoNotDependOnWorkers(t *testing.T) {
	augment := transforms.Compose{
		transforms.RandomResizedCrop{Height: 12, Width: 10}, transforms.RandomHorizontalFlip{}, transforms.TrivialAugmentWide{},
	}
	for name, ds := range map[string]Dataset{"one size": augmentable(23), "own sizes": sized{augmentable(23)}} {
		base := LoaderConfig{Batch: 4, Shuffle: true, Seed: 9, Workers: 1, Transform: augment}
		one, _, err := epochImages(t, ds, base, 3)
		if err != nil {
			t.Fatal(err)
		}
		more, batch, seed := base, base, base
		more.Workers, batch.Batch, seed.Seed = 5, 7, 10
		for what, c := range map[string]LoaderConfig{"workers": more, "batch": batch} {
			got, _, err := epochImages(t, ds, c, 3)
			if err != nil {
				t.Fatal(err)
			}
			for i := range one {
				if !slices.Equal(got[i], one[i]) {
					t.Errorf("%s: other %s gave another image %d", name, what, i)
				}
			}
		}
		other, _, _ := epochImages(t, ds, base, 4)
		another, _, _ := epochImages(t, ds, seed, 3)
		same := 0
		for i := range one {
			for _, m := range []map[int][]float32{other, another} {
				if slices.Equal(m[i], one[i]) {
					same++
				}
			}
		}
		if same > 4 {
			t.Errorf("%s: %d of 46 images are the same in another epoch or by another seed", name, same)
		}
	}
	// The random numbers of a loader are those that the comment of transforms.Rand describes.
	ds := sized{augmentable(23)}
	got, _, err := epochImages(t, ds, LoaderConfig{Batch: 4, Seed: 9, Transform: augment}, 3)
	if err != nil {
		t.Fatal(err)
	}
	var rnd transforms.Rand
	for i := range got {
		rnd.Image(9, 3, i)
		m, _, _ := ds.Image(i)
		for k, v := range augment.Apply(m, &rnd).Pix {
			if got[i][k] != float32(v)/255 {
				t.Fatalf("image %d is not transformed with its own random numbers", i)
			}
		}
	}
}

func TestMixedBatches(t *testing.T) {
	ds := augmentable(22)
	plain, none, err := epochImages(t, ds, LoaderConfig{Batch: 4, Seed: 5}, 1)
	if err != nil || len(none) != 0 {
		t.Fatal(err, len(none))
	}
	mix := transforms.RandomChoice{Of: []transforms.BatchTransform{transforms.Mixup{}, transforms.CutMix{}}}
	images, targets, err := epochImages(t, ds, LoaderConfig{Batch: 4, Seed: 5, Workers: 3, Mix: mix}, 1)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := epochImages(t, ds, LoaderConfig{Batch: 4, Seed: 5, Workers: 1, Mix: mix}, 1)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for i := range images {
		if !slices.Equal(images[i], again[i]) {
			t.Errorf("image %d depends on the workers", i)
		}
		if !slices.Equal(images[i], plain[i]) {
			changed++
		}
		sum := 0.0
		for _, v := range targets[i] {
			sum += float64(v)
		}
		if math.Abs(sum-1) > 1e-6 || targets[i][i%3] == 0 && slices.Equal(images[i], plain[i]) {
			t.Errorf("image %d: targets %v", i, targets[i])
		}
	}
	if changed < 12 {
		t.Errorf("%d of 22 images are mixed", changed)
	}
}

// Every batch of every epoch is mixed with random numbers of its own.
func TestBatchesAreMixedApart(t *testing.T) {
	const size, epochs = 4, 3
	ds := augmentable(22)
	s := ds.Info()
	mix := transforms.RandomChoice{Of: []transforms.BatchTransform{transforms.Mixup{}, transforms.CutMix{}}}
	drawn, seen := 0, map[transforms.Mix]bool{}
	for epoch := range epochs {
		plain, _, err := epochImages(t, ds, LoaderConfig{Batch: size, Seed: 5}, epoch)
		if err != nil {
			t.Fatal(err)
		}
		images, targets, err := epochImages(t, ds, LoaderConfig{Batch: size, Seed: 5, Workers: 3, Mix: mix}, epoch)
		if err != nil {
			t.Fatal(err)
		}
		for batch := 0; batch*size < ds.Len(); batch++ {
			first, last := batch*size, min((batch+1)*size, ds.Len())
			var rnd transforms.Rand
			rnd.Batch(5, epoch, batch)
			m := mix.Draw(s.Height, s.Width, &rnd)
			where := fmt.Sprintf("batch %d of epoch %d", batch, epoch)
			drawn++
			seen[m] = true
			want := tensor.New(last-first, s.Channels, s.Height, s.Width)
			labels := make([]int64, last-first)
			for i := range labels {
				copy(want.Data()[i*s.Numel():], plain[first+i])
				labels[i] = int64((first + i) % 3)
			}
			m.Images(want)
			soft := m.Targets(labels, len(s.Classes)).Data()
			for i := range labels {
				if !slices.Equal(images[first+i], want.Data()[i*s.Numel():(i+1)*s.Numel()]) || !slices.Equal(targets[first+i], soft[i*len(s.Classes):(i+1)*len(s.Classes)]) {
					t.Errorf("image %d of %s is not mixed with its own random numbers", i, where)
				}
			}
		}
	}
	if len(seen) < 2*drawn/3 { // some rectangles are equal by chance
		t.Errorf("%d batches are mixed in %d ways", drawn, len(seen))
	}
}

func TestTransformErrorsNameTheImage(t *testing.T) {
	for want, f := range map[string]transforms.Transform{
		"image 0: its transform failed: transforms.RandomCrop: a crop of 64 by 64": transforms.RandomCrop{Size: 64},
		"image 0: the transforms return [3, 6, 6] where [3, 12, 10] is required":   transforms.CenterCrop{Size: 6},
	} {
		if _, _, err := epochImages(t, augmentable(5), LoaderConfig{Batch: 2, Transform: f, Workers: 1}, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	ds := augmentable(5)
	ds.info.Classes = nil
	if _, err := NewLoader(ds, LoaderConfig{Batch: 2, Mix: transforms.CutMix{}}); err == nil || !strings.Contains(err.Error(), "cannot be mixed") {
		t.Errorf("%v", err)
	}
}

// Batches are normalised by channel, and a mean with another number of channels is refused.
func TestLoaderNormalizes(t *testing.T) {
	ds := augmentable(5)
	n := transforms.ImageNet()
	got, _, err := epochImages(t, ds, LoaderConfig{Batch: 2, Normalize: n}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range ds.Len() {
		m := transforms.NewImage(3, 12, 10)
		if _, err := ds.Get(i, m.Pix); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[i], n.Apply(m).Data()) {
			t.Fatalf("image %d differs", i)
		}
	}
	if _, err := NewLoader(ds, LoaderConfig{Batch: 2, Normalize: transforms.Normalize{Mean: []float64{0.5}}}); err == nil || !strings.Contains(err.Error(), "(Mean, Std)") {
		t.Error(err)
	}
}

// Transforms get the images behind Resize and First.
func TestTransformsSeeImagesBehindViews(t *testing.T) {
	plain, own := augmentable(7), sized{augmentable(7)}
	for i := range 3 {
		want, _, _ := own.Image(i)
		for _, ds := range []Dataset{First(own, 4), Resize(own, 6), Resize(First(own, 5), 6), First(Resize(own, 6), 5)} {
			var m transforms.Image
			label, err := Lend(ds, i, func(lent transforms.Image) { m = lent })
			if err != nil || label != i%3 || m.Height != want.Height || !slices.Equal(m.Pix, want.Pix) {
				t.Errorf("image %d of a view: [%d, %d, %d], label %d, %v", i, m.Channels, m.Height, m.Width, label, err)
			}
		}
		m, label, err := Resize(plain, 6).(Images).Image(i)
		if err != nil || label != i%3 || m.Height != 12 || m.Width != 10 || !slices.Equal(m.Pix, plain.pixels[i*360:][:360]) {
			t.Errorf("image %d behind Resize: [%d, %d, %d], label %d, %v", i, m.Channels, m.Height, m.Width, label, err)
		}
	}
	if _, _, ok := As[Images](First(plain, 3)); ok {
		t.Error("a view of a data set whose images have one size implements Images")
	}
}

// parted is sized with ImageParts; it counts how many images are read in full and in part.
type parted struct {
	sized
	full, parts *atomic.Int64
}

func (p parted) Image(i int) (transforms.Image, int, error) {
	p.full.Add(1)
	return p.sized.Image(i)
}

func (p parted) Part(i int, choose func(height, width int) transforms.Crop) (transforms.Image, int, error) {
	p.parts.Add(1)
	m, label, err := p.sized.Image(i)
	choose(m.Height+3, m.Width+5) // as for an image that could not be read
	return choose(m.Height, m.Width).Apply(m, nil), label, err
}

// A transform that begins with a crop reads only that part, and draws the same random numbers.
func TestPartsEqualFullImages(t *testing.T) {
	fullOnly := sized{augmentable(9)}
	ds := parted{fullOnly, new(atomic.Int64), new(atomic.Int64)}
	crop := transforms.RandomResizedCrop{Height: 12, Width: 10}
	for _, transform := range []transforms.Transform{
		crop, transforms.Compose{crop}, transforms.Compose{crop, transforms.RandomHorizontalFlip{}, transforms.RandAugment{}},
	} {
		c := LoaderConfig{Batch: 2, Seed: 3, Shuffle: true, Transform: transform}
		want, _, err := epochImages(t, fullOnly, c, 2)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := epochImages(t, ds, c, 2)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if !slices.Equal(got[i], want[i]) {
				t.Fatalf("image %d differs", i)
			}
		}
	}
	if ds.parts.Load() != 27 || ds.full.Load() != 0 {
		t.Errorf("%d parts and %d full images were read", ds.parts.Load(), ds.full.Load())
	}
	if _, _, err := epochImages(t, ds, LoaderConfig{Batch: 2, Transform: transforms.Compose{transforms.HorizontalFlip{}, crop}}, 0); err != nil || ds.full.Load() != 9 {
		t.Errorf("after another transform %d full images were read, %v", ds.full.Load(), err)
	}
	_, _, err := epochImages(t, ds, LoaderConfig{Batch: 2, Transform: transforms.RandomResizedCrop{}}, 0)
	if err == nil || !strings.Contains(err.Error(), "its transform failed: transforms.RandomResizedCrop") {
		t.Errorf("an impossible transform: %v", err)
	}
}

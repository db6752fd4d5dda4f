package folder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
)

// A set returns the images of the files: prepared for evaluation by Get, and in full size for
// the transforms of a loader. Workers and the cache do not change them.
func TestSetThroughTheLoader(t *testing.T) {
	dir := makeFolder(t, MakeConfig{PerClass: 4, Turned: 0.5, Seed: 3})
	first := ""
	for _, cacheBytes := range []int64{-1, 40_000, 0} {
		o := Options{Size: 32, Seed: 1, Holdout: 0.25, CacheBytes: cacheBytes}
		train, test, err := Open(context.Background(), dir, o)
		if err != nil {
			t.Fatal(err)
		}
		if train.Len() != 30 || test.Len() != 10 || len(train.Info().Classes) != 10 {
			t.Fatalf("%d and %d images of %v", train.Len(), test.Len(), train.Info().Classes)
		}
		want := map[int][]uint8{}
		for i, it := range train.Items() {
			m, _, err := photo.Read(it.Path, photo.Options{})
			if err != nil {
				t.Fatal(err)
			}
			want[i] = transforms.ImageClassification{ResizeSize: 37, CropSize: 32}.Pixels(m).Pix
			if full, label, err := train.Image(i); err != nil || label != it.Label || !bytes.Equal(full.Pix, m.Pix) {
				t.Fatalf("image %d differs from its file: %v", i, err)
			}
		}
		pix := make([]uint8, train.Info().Numel())
		for range 2 {
			for i := range train.Len() {
				if _, err := train.Get(i, pix); err != nil || !bytes.Equal(pix, want[i]) {
					t.Fatalf("cache of %d: image %d differs: %v", cacheBytes, i, err)
				}
			}
		}
		augment := transforms.Compose{transforms.RandomResizedCrop{Size: 32}, transforms.RandomHorizontalFlip{}, transforms.RandAugment{}}
		var runs [2]string
		for k, workers := range []int{1, 4} {
			l, err := data.NewLoader(train, data.LoaderConfig{Batch: 8, Shuffle: true, Seed: 2, Workers: workers, Transform: augment})
			if err != nil {
				t.Fatal(err)
			}
			e := l.Epoch(context.Background(), 5)
			for {
				b, err := e.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				runs[k] += fmt.Sprint(b.Indices, b.Labels.Ints(), b.Images.Data()[:40])
				b.Release()
			}
		}
		if runs[0] != runs[1] {
			t.Error("other workers made other images")
		}
		if first == "" {
			first = runs[0]
		}
		if runs[0] != first { // decoded in part, or parts of cached images
			t.Errorf("a cache of %d made other images", cacheBytes)
		}
	}
}

func TestShrinkAndCache(t *testing.T) {
	dir := makeFolder(t, MakeConfig{PerClass: 2, Seed: 4})
	train, _, err := Open(context.Background(), dir, Options{Size: 16, Shrink: 40, Channels: 1, CacheBytes: 5000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range train.Len() {
		m, _, err := train.Image(i)
		if err != nil || m.Channels != 1 || min(m.Height, m.Width) != 40 {
			t.Fatalf("[%d, %d, %d], %v", m.Channels, m.Height, m.Width, err)
		}
	}
	cached := 0
	for _, m := range train.full.images {
		cached += len(m.Pix)
	}
	if cached == 0 || cached > 5000 {
		t.Errorf("%d bytes in a cache of 5000", cached)
	}
	if n, bytes, maxBytes := train.Cached(); n != len(train.full.images) || bytes != int64(cached) || maxBytes != 5000 || data.ResidentBytes(train) != bytes {
		t.Errorf("%d images of %d bytes are cached, at most %d", n, bytes, maxBytes)
	}
}

// A broken image is reported once and replaced by the next one of its class, for any number of
// workers. Without Options.Broken it is an error.
func TestBrokenImages(t *testing.T) {
	dir := makeFolder(t, MakeConfig{PerClass: 5, Val: 1, Broken: 2, Seed: 5})
	var mu sync.Mutex
	reported := map[string]int{}
	x, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	var bad []string
	for _, it := range x.Items {
		if _, _, err := photo.Read(it.Path, photo.Options{}); err != nil {
			bad = append(bad, it.Name)
		}
	}
	if len(bad) != 2 {
		t.Fatalf("broken: %v", bad)
	}
	o := Options{Size: 16, CacheBytes: -1, Broken: func(name string, err error) {
		mu.Lock()
		defer mu.Unlock()
		reported[name]++
		if !strings.Contains(err.Error(), "cannot be decoded") {
			t.Errorf("%s: %v", name, err)
		}
	}}
	s, err := x.Set(data.Train, o)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	out := make([][]uint8, 3*s.Len())
	for w := range 3 {
		wg.Go(func() {
			for k := range s.Len() {
				i := (k*(w+1) + w) % s.Len()
				out[w*s.Len()+i] = make([]uint8, s.Info().Numel())
				if label, err := s.Get(i, out[w*s.Len()+i]); err != nil || label != s.Items()[i].Label {
					t.Errorf("image %d: label %d, %v", i, label, err)
				}
			}
		})
	}
	wg.Wait()
	for _, name := range bad {
		if reported[name] != 1 {
			t.Errorf("%s was reported %d times", name, reported[name])
		}
	}
	if len(reported) != 2 {
		t.Errorf("reported: %v", reported)
	}
	first := slices.IndexFunc(s.Items(), func(it Item) bool { return it.Name == bad[0] })
	next := first + 1
	for slices.Contains(bad, s.Items()[next].Name) {
		next++
	}
	if !bytes.Equal(out[first], out[next]) {
		t.Error("the next image did not replace the broken one")
	}
	strict, err := x.Set(data.Train, Options{Size: 16})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := strict.Image(first); err == nil || !strings.Contains(err.Error(), filepath.Base(bad[0])) {
		t.Errorf("a broken image gave %v", err)
	}
}

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

// Images come through the loader as their files have them, prepared as for
// evaluation, and full-size through transforms on its workers.
func TestSetThroughTheLoader(t *testing.T) {
	dir := made(t, MakeConfig{PerClass: 4, Turned: 0.5, Seed: 3})
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
			if whole, label, err := train.Image(i); err != nil || label != it.Label || !bytes.Equal(whole.Pix, m.Pix) {
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
		if runs[0] != first { // parts of files, or of images that are kept
			t.Errorf("a cache of %d made other images", cacheBytes)
		}
	}
}

func TestShrinkAndCache(t *testing.T) {
	dir := made(t, MakeConfig{PerClass: 2, Seed: 4})
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
	held := 0
	for _, m := range train.full.images {
		held += len(m.Pix)
	}
	if held == 0 || held > 5000 {
		t.Errorf("%d bytes in a cache of 5000", held)
	}
	if n, bytes, most := train.Cached(); n != len(train.full.images) || bytes != int64(held) || most != 5000 || data.ResidentBytes(train) != bytes {
		t.Errorf("keeps %d images of %d bytes, at most %d", n, bytes, most)
	}
}

// A broken image is named once and replaced by one of its class, by any number of
// workers; without a listener it ends the reading.
func TestBrokenPictures(t *testing.T) {
	dir := made(t, MakeConfig{PerClass: 5, Val: 1, Broken: 2, Seed: 5})
	var mu sync.Mutex
	told := map[string]int{}
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
		told[name]++
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
		if told[name] != 1 {
			t.Errorf("%s was named %d times", name, told[name])
		}
	}
	if len(told) != 2 {
		t.Errorf("named: %v", told)
	}
	first := slices.IndexFunc(s.Items(), func(it Item) bool { return it.Name == bad[0] })
	next := first + 1
	for slices.Contains(bad, s.Items()[next].Name) {
		next++
	}
	if !bytes.Equal(out[first], out[next]) {
		t.Error("the next image did not take the broken one's place")
	}
	strict, err := x.Set(data.Train, Options{Size: 16})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := strict.Image(first); err == nil || !strings.Contains(err.Error(), filepath.Base(bad[0])) {
		t.Errorf("a broken image gave %v", err)
	}
}

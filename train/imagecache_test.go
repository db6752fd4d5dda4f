package train_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/train"
)

// A training with a decoded-image cache gives the same bits as one without, whether it writes
// or reads the cache, and so does one that is resumed after the cache was damaged.
func TestImageCacheKeepsTheBits(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 5, Turned: 0.3})
	dev := device(t, 2)
	c := quick(t, dir)
	c.Cache = train.CacheOff
	trained := func(c train.Config, cb train.Callbacks) (train.Summary, error) {
		c.Out = t.TempDir()
		return train.Run(context.Background(), dev, c, cb)
	}
	off, err := trained(c, train.Callbacks{OnStart: func(s train.Start) {
		if s.Photos.Cache != nil {
			t.Error("there is a cache although it is off")
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, off.Last)

	c.Cache = filepath.Join(t.TempDir(), "kept")
	for i, added := range []int{50, 0} {
		c.Workers = 1 + 2*i
		on, err := trained(c, train.Callbacks{OnStart: func(s train.Start) {
			if p := s.Photos.Cache.State(); p.Images != 50 || p.Added != added || len(p.Notes) != 0 {
				t.Errorf("%+v", p)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if read(t, on.Last) != want {
			t.Error("other weights than without a cache")
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	d := c
	d.Out = t.TempDir()
	s, err := train.Run(ctx, dev, d, train.Callbacks{OnEpoch: func(train.Epoch) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(c.Cache, "*", "*", "*.pack"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Truncate(files[0], 5000); err != nil {
		t.Fatal(err)
	}
	saved, err := train.OpenRun(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var cache *folder.ImageCache
	if _, err := saved.Resume(context.Background(), dev, saved.Config, train.Callbacks{OnStart: func(s train.Start) { cache = s.Photos.Cache }}); err != nil {
		t.Fatal(err)
	}
	if read(t, filepath.Join(s.Dir, "last.safetensors")) != want {
		t.Error("other weights than those of the run that was not interrupted")
	}
	if p := cache.State(); p.Added != 50 || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], files[0]) {
		t.Errorf("%+v", p)
	}
}

// With auto, images that are decoded quickly are not cached.
func TestImageCacheOfSmallImages(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, home)
	}
	c := quick(t, photos(t, folder.MakeConfig{PerClass: 4}))
	c.Epochs = 1
	s, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{OnStart: func(s train.Start) {
		if p := s.Photos.Cache.State(); p.Images != 0 || p.Declined != "" || len(p.Notes) != 0 {
			t.Errorf("%+v", p)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Config.Cache != train.CacheAuto {
		t.Errorf("the cache is %q", s.Config.Cache)
	}
	left, err := folder.Caches(filepath.Join(home, "residual", "pictures"))
	if err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
	c.Cache, c.CacheSize = "", -2
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "CacheSize -2") {
		t.Error(err)
	}
}

// A rehearsal writes no cache, and reads one that exists.
func TestRehearsalWritesNoImageCache(t *testing.T) {
	c := quick(t, photos(t, folder.MakeConfig{PerClass: 4}))
	c.Cache, c.Epochs = filepath.Join(t.TempDir(), "kept"), 1
	dev := device(t, 2)
	cached := -1
	cb := train.Callbacks{OnStart: func(s train.Start) { cached = s.Photos.Cache.State().Images }}
	if err := train.Rehearse(context.Background(), dev, c, cb); err != nil || cached != 0 {
		t.Errorf("%d cached images, %v", cached, err)
	}
	if _, err := os.Stat(c.Cache); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s exists: %v", c.Cache, err)
	}
	if _, err := train.Run(context.Background(), dev, c, cb); err != nil || cached != 40 {
		t.Errorf("%d cached images, %v", cached, err)
	}
	if err := train.Rehearse(context.Background(), dev, c, cb); err != nil || cached != 40 {
		t.Errorf("%d cached images, %v", cached, err)
	}
}

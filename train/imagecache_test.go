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

// A training with kept pictures is the training without, whoever wrote them, and so is
// one that goes on after they were damaged or taken away.
func TestCacheKeepsTheBits(t *testing.T) {
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
			t.Error("a pack where the cache is off")
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
			t.Error("other weights than without kept pictures")
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
	var pack *folder.ImageCache
	if _, err := saved.Resume(context.Background(), dev, saved.Config, train.Callbacks{OnStart: func(s train.Start) { pack = s.Photos.Cache }}); err != nil {
		t.Fatal(err)
	}
	if read(t, filepath.Join(s.Dir, "last.safetensors")) != want {
		t.Error("another end than that of the run that was not interrupted")
	}
	if p := pack.State(); p.Added != 50 || len(p.Notes) != 1 || !strings.Contains(p.Notes[0], files[0]) {
		t.Errorf("%+v", p)
	}
}

// auto keeps nothing of pictures that are soon decoded.
func TestCacheOfSmallPictures(t *testing.T) {
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

// A rehearsal writes no pictures, and reads those that are kept.
func TestRehearsalKeepsNoPictures(t *testing.T) {
	c := quick(t, photos(t, folder.MakeConfig{PerClass: 4}))
	c.Cache, c.Epochs = filepath.Join(t.TempDir(), "kept"), 1
	dev := device(t, 2)
	kept := -1
	cb := train.Callbacks{OnStart: func(s train.Start) { kept = s.Photos.Cache.State().Images }}
	if err := train.Rehearse(context.Background(), dev, c, cb); err != nil || kept != 0 {
		t.Errorf("%d pictures, %v", kept, err)
	}
	if _, err := os.Stat(c.Cache); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", c.Cache, err)
	}
	if _, err := train.Run(context.Background(), dev, c, cb); err != nil || kept != 40 {
		t.Errorf("%d pictures, %v", kept, err)
	}
	if err := train.Rehearse(context.Background(), dev, c, cb); err != nil || kept != 40 {
		t.Errorf("%d pictures, %v", kept, err)
	}
}

package train

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
)

// A budget that chooses another size than the one with which the images were checked uses the
// cache of that size, and worthCaching depends on the cost of a step.
func TestImageCacheOfAnotherSize(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "photos")
	if err := folder.Make(context.Background(), dir, folder.MakeConfig{PerClass: 3}); err != nil {
		t.Fatal(err)
	}
	planFor := func(resize int) plan {
		t.Helper()
		p, err := Config{
			Data: dir, Model: "resnet18", Resize: resize, Batch: 8, Epochs: 1, Preparation: Preparation{Cache: filepath.Join(dir, "..", "kept")},
		}.plan()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	small, large := planFor(32), planFor(48)
	for _, p := range []plan{small, large} {
		_, _, photos, err := p.openPhotos(context.Background(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := photos.Cache.Dir
		if s := photos.Cache.State(); s.Images != 30 || s.Added != 30 {
			t.Errorf("%+v", s)
		}
		other := small
		if p.Resize == small.Resize {
			other = large
		}
		train, _, err := photos.parts(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := train.(data.Images).Image(0)
		if err != nil || min(m.Height, m.Width) != 2*other.Resize || photos.Cache.Dir == at {
			t.Errorf("%dx%d from %s, %v", m.Height, m.Width, photos.Cache.Dir, err)
		}
	}

	trial := folder.CacheTrial{Images: 10_000, Tried: 100, Took: 100 * 2500 * time.Microsecond, Bytes: 100 << 10}
	if !small.worthCaching(trial) {
		t.Error("2.5 ms per image are not worth a cache for ResNet-18 at 32x32")
	}
	if p := planFor(224); p.worthCaching(trial) {
		t.Error("2.5 ms per image are worth a cache for ResNet-18 at 224x224")
	}
	trial.Images = 1000
	if small.worthCaching(trial) {
		t.Error("2.5 s in all are worth a cache")
	}
}

package folder

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// The benchmark measures the time before the first step of a training with 5,000 small cached
// images: when the file system identifies the files, and when each file is read to compute its
// digest. Run it by: go test -bench StartOnCached -benchtime 3x ./data/folder
func BenchmarkStartOnCachedImages(b *testing.B) {
	defer func(was time.Duration) { settles = was }(settles)
	settles = -time.Hour
	p := cachedFolder{filepath.Join(b.TempDir(), "photos"), filepath.Join(b.TempDir(), "decoded-image caches"), Options{Size: 24, Shrink: 48}}
	if err := Make(context.Background(), p.dir, MakeConfig{PerClass: 500}); err != nil {
		b.Fatal(err)
	}
	start := func(forget bool) {
		x, err := Scan(p.dir)
		if err != nil {
			b.Fatal(err)
		}
		o := p.o
		if o.Cache, err = x.OpenCache(p.o, CacheConfig{Dir: p.caches}); err != nil {
			b.Fatal(err)
		}
		defer o.Cache.Close()
		if forget {
			clear(o.Cache.marks)
		}
		if _, _, err := x.Check(context.Background(), o, nil); err != nil {
			b.Fatal(err)
		}
	}
	start(false)
	for name, forget := range map[string]bool{"identified": false, "read": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				start(forget)
			}
		})
	}
}

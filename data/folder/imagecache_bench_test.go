package folder

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkStartOnCachedImages is what a training pays before its first step for 5,000
// small photos whose pixels the cache has: where the file system vouches for the files, and
// where each is read and its digest taken. go test -bench StartOnCached -benchtime 3x ./data/folder
func BenchmarkStartOnCachedImages(b *testing.B) {
	defer func(was time.Duration) { settles = was }(settles)
	settles = -time.Hour
	p := packedFolder{filepath.Join(b.TempDir(), "photos"), filepath.Join(b.TempDir(), "decoded-image caches"), Options{Size: 24, Shrink: 48}}
	if err := Make(context.Background(), p.dir, MakeConfig{PerClass: 500}); err != nil {
		b.Fatal(err)
	}
	start := func(forget bool) {
		x, err := Scan(p.dir)
		if err != nil {
			b.Fatal(err)
		}
		o := p.o
		if o.Cache, err = x.OpenCache(p.o, CacheConfig{Dir: p.packs}); err != nil {
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
	for name, forget := range map[string]bool{"vouched for": false, "read": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				start(forget)
			}
		})
	}
}

package folder

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
)

// cachedFolder is a folder of images and the folder for its cache.
type cachedFolder struct {
	dir, caches string
	o           Options
}

func newCachedFolder(t *testing.T) cachedFolder {
	t.Helper()
	p := cachedFolder{filepath.Join(t.TempDir(), "photos"), filepath.Join(t.TempDir(), "decoded-image caches"), Options{Size: 24, Shrink: 48}}
	if err := Make(context.Background(), p.dir, MakeConfig{PerClass: 4, Turned: 0.4}); err != nil {
		t.Fatal(err)
	}
	return p
}

// check opens the cache and checks the folder with it.
func (p cachedFolder) check(t *testing.T, c CacheConfig) (*Index, *ImageCache, *Report) {
	t.Helper()
	x, err := Scan(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	c.Dir = p.caches
	ic, err := x.OpenCache(p.o, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ic.Close)
	o := p.o
	o.Cache = ic
	r, groups, err := x.Check(context.Background(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Holdout(0.25, 0, groups); err != nil {
		t.Fatal(err)
	}
	return x, ic, r
}

// files lists the files of the cache.
func (p cachedFolder) files(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(p.caches, "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// pixels returns all pixels that the sets of an index return.
func pixels(t *testing.T, x *Index, o Options) (all [][]byte) {
	t.Helper()
	take := func(m transforms.Image, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.Clone(m.Pix))
	}
	for _, part := range []data.Split{data.Train, data.Test} {
		if part == data.Test {
			o.Shrink = 0
		}
		for _, cached := range []int64{-1, 0} {
			o.CacheBytes = cached
			s, err := x.Set(part, o)
			if err != nil {
				t.Fatal(err)
			}
			for i := range s.Len() {
				m, _, err := s.Image(i)
				take(m, err)
				for range 2 { // the first read verifies the CRC, the second reads a part
					m, _, err = s.Part(i, func(h, w int) transforms.Crop {
						return transforms.Crop{Top: h / 3, Left: w / 4, Height: h / 2, Width: w / 2}
					})
					take(m, err)
				}
				pix := make([]uint8, s.Info().Numel())
				_, err = s.Get(i, pix)
				take(transforms.Image{Pix: pix}, err)
			}
		}
	}
	return all
}

// samePixels fails the test unless sets return the same pixels with and without the cache.
func (p cachedFolder) samePixels(t *testing.T, x *Index, ic *ImageCache) {
	t.Helper()
	want := pixels(t, x, p.o)
	o := p.o
	o.Cache = ic
	for i, got := range pixels(t, x, o) {
		if !bytes.Equal(got, want[i]) {
			t.Fatalf("with the cache, image %d differs", i)
		}
	}
}

func TestImageCacheGivesTheSameBits(t *testing.T) {
	p := newCachedFolder(t)
	x, ic, first := p.check(t, CacheConfig{})
	if s := ic.State(); s.Images != 40 || s.Added != 40 || s.Declined != "" || len(s.Notes) != 0 {
		t.Errorf("%+v", s)
	}
	p.samePixels(t, x, ic)

	// Opened again, the cache has all images, and Check reports the same without decoding.
	y, again, second := p.check(t, CacheConfig{})
	if s := again.State(); s.Images != 40 || s.Added != 0 || !again.Has(y) {
		t.Errorf("%+v", s)
	}
	if d := cmp.Diff(first, second); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(x.Items, y.Items, cmpopts.IgnoreFields(Mark{}, "Identity")); d != "" { // a new file may get an identity later
		t.Error(d)
	}
	p.samePixels(t, y, again)

	// The cache is read and not the files, which are empty from here on.
	for _, it := range y.Items {
		if err := os.WriteFile(it.Path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	o := p.o
	o.Cache, o.CacheBytes = again, -1
	pixels := func(split data.Split, shrink int) {
		o.Shrink = shrink
		s, err := y.Set(split, o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.Len() {
			if _, err := s.Get(i, make([]uint8, s.Info().Numel())); err != nil {
				t.Error(err)
			}
		}
	}
	pixels(data.Train, p.o.Shrink)
	pixels(data.Test, 0)
	if changes, err := y.Changed(context.Background()); err != nil || len(changes) != 40 {
		t.Errorf("%d changes are noticed, %v", len(changes), err)
	}
}

func TestImageCacheOfChangedFiles(t *testing.T) {
	p := newCachedFolder(t)
	x, ic, _ := p.check(t, CacheConfig{})
	one, two, three := x.Items[0], x.Items[1], x.Items[2]
	content, err := os.ReadFile(two.Path)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	for path, content := range map[string][]byte{one.Path: content, filepath.Join(filepath.Dir(one.Path), "new.jpg"): content} {
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(three.Path, later, later); err != nil { // the same content
		t.Fatal(err)
	}
	if ic.Has(x) != true {
		t.Error("the cache must have the images of the index as the files were")
	}
	y, again, _ := p.check(t, CacheConfig{})
	if s := again.State(); s.Added != 0 || s.Images != 41 || len(p.files(t)) != 1 { // the cache has the content of all
		t.Errorf("%+v in %v", s, p.files(t))
	}
	p.samePixels(t, y, again)
	_, third, _ := p.check(t, CacheConfig{})
	if s := third.State(); s.Added != 0 {
		t.Errorf("%+v", s)
	}

	// Most images in the cache no longer exist.
	for _, it := range y.Items[8:] {
		if it.Name != three.Name {
			if err := os.Remove(it.Path); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, class := range y.Classes { // an empty folder would be an error
		os.Remove(filepath.Join(p.dir, class))
	}
	before := third.State().Bytes
	z, fourth, _ := p.check(t, CacheConfig{})
	if s := fourth.State(); s.Added != len(z.Items)-2 || s.Images != len(z.Items) || // three have one content
		s.Bytes > before/2 || len(p.files(t)) != 1 {
		t.Errorf("%+v of %d in %v", s, before, p.files(t))
	}
	p.samePixels(t, z, fourth)
}

func TestDamagedImageCache(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"cut short":        func(b []byte) []byte { return b[:len(b)-7] },
		"half":             func(b []byte) []byte { return b[:len(b)/2] },
		"empty":            func([]byte) []byte { return nil },
		"flipped index":    func(b []byte) []byte { b[len(b)-60] ^= 4; return b },
		"flipped trailer":  func(b []byte) []byte { b[len(b)-len(cacheMagic)-12] ^= 4; return b },
		"flipped head":     func(b []byte) []byte { b[3] ^= 1; return b },
		"flipped pixels":   func(b []byte) []byte { b[len(cacheMagic)+100] ^= 16; return b },
		"something longer": func(b []byte) []byte { return append(b, "more"...) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newCachedFolder(t)
			_, first, _ := p.check(t, CacheConfig{})
			first.Close()
			file := p.files(t)[0]
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, damage(content), 0o666); err != nil {
				t.Fatal(err)
			}
			x, ic, _ := p.check(t, CacheConfig{})
			p.samePixels(t, x, ic)
			s := ic.State()
			if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], file) || !strings.Contains(s.Notes[0], "damaged or cut short") {
				t.Errorf("notes %q", s.Notes)
			}
			if _, err := os.Stat(file); err == nil {
				t.Errorf("%s is still there", file)
			}
			x, ic, _ = p.check(t, CacheConfig{})
			if s := ic.State(); len(s.Notes) != 0 || s.Images != 40 || !ic.Has(x) {
				t.Errorf("afterwards: %+v", s)
			}
			p.samePixels(t, x, ic)
		})
	}
}

func TestImageCacheDeclined(t *testing.T) {
	p := newCachedFolder(t)
	var asked []CacheTrial
	_, ic, _ := p.check(t, CacheConfig{Worth: func(t CacheTrial) bool { asked = append(asked, t); return len(asked) > 1 }})
	if s := ic.State(); s.Images != 0 || s.Declined != "" || len(asked) != 1 || asked[0].Tried != trialSize || asked[0].Images != 40 || asked[0].Took <= 0 || asked[0].Bytes <= 0 {
		t.Errorf("%+v, asked %+v", s, asked)
	}
	_, ic, _ = p.check(t, CacheConfig{MaxBytes: 10_000})
	if s := ic.State(); s.Images != 0 || !strings.Contains(s.Declined, "GB, and the limit is 0.0 GB") {
		t.Errorf("%+v", s)
	}
	if left := p.files(t); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	if entries, _ := os.ReadDir(p.caches); len(entries) != 0 {
		t.Errorf("left folders %v", entries)
	}
	// A cache folder that cannot be opened is an error that names the setting.
	if err := os.RemoveAll(p.caches); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.caches, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	x, err := Scan(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.OpenCache(p.o, CacheConfig{Dir: p.caches}); err == nil || !strings.Contains(err.Error(), "CacheConfig.Dir") {
		t.Error(err)
	}
}

// The images that an interrupted Check has decoded are cached.
func TestImageCacheOfAnInterruptedCheck(t *testing.T) {
	p := newCachedFolder(t)
	x, err := Scan(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	o := p.o
	if o.Cache, err = x.OpenCache(p.o, CacheConfig{Dir: p.caches}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, _, err = x.Check(ctx, o, func(done, _ int) {
		if done == 10 {
			cancel()
		}
	})
	o.Cache.Close()
	if err == nil {
		t.Fatal("no error")
	}
	x, ic, _ := p.check(t, CacheConfig{})
	if s := ic.State(); s.Images != 40 || s.Added >= 40-9 || s.Added == 0 {
		t.Errorf("%+v", s)
	}
	p.samePixels(t, x, ic)
}

// Programs may write to the same cache at the same time.
func TestImageCacheOfSeveralPrograms(t *testing.T) {
	p := newCachedFolder(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			x, err := Scan(p.dir)
			if err != nil {
				t.Error(err)
				return
			}
			o := p.o
			if o.Cache, err = x.OpenCache(p.o, CacheConfig{Dir: p.caches}); err != nil {
				t.Error(err)
				return
			}
			defer o.Cache.Close()
			if _, _, err := x.Check(context.Background(), o, nil); err != nil || !o.Cache.Has(x) {
				t.Errorf("%v, %+v", err, o.Cache.State())
			}
		})
	}
	wg.Wait()
	x, ic, _ := p.check(t, CacheConfig{})
	if s := ic.State(); s.Added != 0 && s.Added != 40 || len(s.Notes) != 0 { // 40 when the three copies were tidied up
		t.Errorf("%+v", s)
	}
	p.samePixels(t, x, ic)
	list, err := Caches(p.caches)
	if err != nil || len(list) != 1 || list[0].Path != ic.Dir || list[0].Bytes != ic.State().Bytes {
		t.Fatalf("%+v, %v; %+v", list, err, ic.State())
	}
	if err := list[0].Remove(); err != nil || len(p.files(t)) != 0 {
		t.Errorf("%v, left %v", err, p.files(t))
	}
}

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

// packedFolder is a folder of images and where its cache goes.
type packedFolder struct {
	dir, packs string
	o          Options
}

func newPackedFolder(t *testing.T) packedFolder {
	t.Helper()
	p := packedFolder{filepath.Join(t.TempDir(), "photos"), filepath.Join(t.TempDir(), "decoded-image caches"), Options{Size: 24, Shrink: 48}}
	if err := Make(context.Background(), p.dir, MakeConfig{PerClass: 4, Turned: 0.4}); err != nil {
		t.Fatal(err)
	}
	return p
}

// check opens the cache and checks the folder by it.
func (p packedFolder) check(t *testing.T, c CacheConfig) (*Index, *ImageCache, *Report) {
	t.Helper()
	x, err := Scan(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	c.Dir = p.packs
	pack, err := x.OpenCache(p.o, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pack.Close)
	o := p.o
	o.Cache = pack
	r, groups, err := x.Check(context.Background(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Holdout(0.25, 0, groups); err != nil {
		t.Fatal(err)
	}
	return x, pack, r
}

// files are the cache's.
func (p packedFolder) files(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(p.packs, "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// pixels are all that sets of an index give out.
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
				for range 2 { // at first held to the CRC, and then read in part
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

// same holds the sets with the cache to those without.
func (p packedFolder) same(t *testing.T, x *Index, pack *ImageCache) {
	t.Helper()
	want := pixels(t, x, p.o)
	o := p.o
	o.Cache = pack
	for i, got := range pixels(t, x, o) {
		if !bytes.Equal(got, want[i]) {
			t.Fatalf("with the cache, image %d differs", i)
		}
	}
}

func TestPackGivesTheSameBits(t *testing.T) {
	p := newPackedFolder(t)
	x, pack, first := p.check(t, CacheConfig{})
	if s := pack.State(); s.Images != 40 || s.Added != 40 || s.Declined != "" || len(s.Notes) != 0 {
		t.Errorf("%+v", s)
	}
	p.same(t, x, pack)

	// Opened again it has all, and Check finds the same without decoding.
	y, again, second := p.check(t, CacheConfig{})
	if s := again.State(); s.Images != 40 || s.Added != 0 || !again.Has(y) {
		t.Errorf("%+v", s)
	}
	if d := cmp.Diff(first, second); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(x.Items, y.Items, cmpopts.IgnoreFields(Mark{}, "Identity")); d != "" { // which a new file may get later
		t.Error(d)
	}
	p.same(t, y, again)

	// It is read, and not the files: these are no images any more.
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

func TestPackOfChangedFiles(t *testing.T) {
	p := newPackedFolder(t)
	x, pack, _ := p.check(t, CacheConfig{})
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
	if pack.Has(x) != true {
		t.Error("the index is of the files as they were")
	}
	y, again, _ := p.check(t, CacheConfig{})
	if s := again.State(); s.Added != 0 || s.Images != 41 || len(p.files(t)) != 1 { // it has the content of all
		t.Errorf("%+v in %v", s, p.files(t))
	}
	p.same(t, y, again)
	_, third, _ := p.check(t, CacheConfig{})
	if s := third.State(); s.Added != 0 {
		t.Errorf("%+v", s)
	}

	// Most of what lies there is of images that are gone.
	for _, it := range y.Items[8:] {
		if it.Name != three.Name {
			if err := os.Remove(it.Path); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, class := range y.Classes { // a folder without images is no class
		os.Remove(filepath.Join(p.dir, class))
	}
	before := third.State().Bytes
	z, fourth, _ := p.check(t, CacheConfig{})
	if s := fourth.State(); s.Added != len(z.Items)-2 || s.Images != len(z.Items) || // three have one content
		s.Bytes > before/2 || len(p.files(t)) != 1 {
		t.Errorf("%+v of %d in %v", s, before, p.files(t))
	}
	p.same(t, z, fourth)
}

func TestPackThatIsDamaged(t *testing.T) {
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
			p := newPackedFolder(t)
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
			x, pack, _ := p.check(t, CacheConfig{})
			p.same(t, x, pack)
			s := pack.State()
			if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], file) || !strings.Contains(s.Notes[0], "damaged or cut short") {
				t.Errorf("notes %q", s.Notes)
			}
			if _, err := os.Stat(file); err == nil {
				t.Errorf("%s is still there", file)
			}
			x, pack, _ = p.check(t, CacheConfig{})
			if s := pack.State(); len(s.Notes) != 0 || s.Images != 40 || !pack.Has(x) {
				t.Errorf("afterwards: %+v", s)
			}
			p.same(t, x, pack)
		})
	}
}

func TestPackThatIsNotBegun(t *testing.T) {
	p := newPackedFolder(t)
	var asked []CacheTrial
	_, pack, _ := p.check(t, CacheConfig{Worth: func(t CacheTrial) bool { asked = append(asked, t); return len(asked) > 1 }})
	if s := pack.State(); s.Images != 0 || s.Declined != "" || len(asked) != 1 || asked[0].Tried != trialSize || asked[0].Images != 40 || asked[0].Took <= 0 || asked[0].Bytes <= 0 {
		t.Errorf("%+v, asked %+v", s, asked)
	}
	_, pack, _ = p.check(t, CacheConfig{MaxBytes: 10_000})
	if s := pack.State(); s.Images != 0 || !strings.Contains(s.Declined, "GB, and the limit is 0.0 GB") {
		t.Errorf("%+v", s)
	}
	if left := p.files(t); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	if entries, _ := os.ReadDir(p.packs); len(entries) != 0 {
		t.Errorf("left folders %v", entries)
	}
	// Where nothing can be written, the images are read all the same.
	if err := os.RemoveAll(p.packs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.packs, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	x, err := Scan(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.OpenCache(p.o, CacheConfig{Dir: p.packs}); err == nil || !strings.Contains(err.Error(), "CacheConfig.Dir") {
		t.Error(err)
	}
}

// What an interrupted Check has decoded is not lost.
func TestPackOfAnInterruptedCheck(t *testing.T) {
	p := newPackedFolder(t)
	x, err := Scan(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	o := p.o
	if o.Cache, err = x.OpenCache(p.o, CacheConfig{Dir: p.packs}); err != nil {
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
	x, pack, _ := p.check(t, CacheConfig{})
	if s := pack.State(); s.Images != 40 || s.Added >= 40-9 || s.Added == 0 {
		t.Errorf("%+v", s)
	}
	p.same(t, x, pack)
}

// Programs that write the same cache at once do not disturb each other.
func TestPackOfSeveralPrograms(t *testing.T) {
	p := newPackedFolder(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			x, err := Scan(p.dir)
			if err != nil {
				t.Error(err)
				return
			}
			o := p.o
			if o.Cache, err = x.OpenCache(p.o, CacheConfig{Dir: p.packs}); err != nil {
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
	x, pack, _ := p.check(t, CacheConfig{})
	if s := pack.State(); s.Added != 0 && s.Added != 40 || len(s.Notes) != 0 { // 40: three copies are tidied up
		t.Errorf("%+v", s)
	}
	p.same(t, x, pack)
	list, err := Caches(p.packs)
	if err != nil || len(list) != 1 || list[0].Path != pack.Dir || list[0].Bytes != pack.State().Bytes {
		t.Fatalf("%+v, %v; %+v", list, err, pack.State())
	}
	if err := list[0].Remove(); err != nil || len(p.files(t)) != 0 {
		t.Errorf("%v, left %v", err, p.files(t))
	}
}

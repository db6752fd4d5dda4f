package data

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tinySet is a data set of four small files and their contents by name.
func tinySet() (idxSet, map[string][]byte) {
	s := idxSet{name: "tiny", classes: []string{"a", "b", "c"}}
	content := map[string][]byte{}
	add := func(name string, split Split, data []uint8, dims ...int) {
		content[name] = idxBytes(data, dims...)
		sum := md5.Sum(content[name])
		s.files = append(s.files, idxFile{name, split, dims, hex.EncodeToString(sum[:])})
	}
	add("train-images", Train, pillowPixels(5*2*3, "noise"), 5, 2, 3)
	add("train-labels", Train, []uint8{0, 1, 2, 1, 0}, 5)
	add("test-images", Test, pillowPixels(2*2*3, "noise"), 2, 2, 3)
	add("test-labels", Test, []uint8{2, 0}, 2)
	return s, content
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// putAll writes the set's files, every second one compressed.
func putAll(t *testing.T, dir string, s idxSet, content map[string][]byte) {
	t.Helper()
	for i, f := range s.files {
		if i%2 == 0 {
			put(t, filepath.Join(dir, f.name), content[f.name])
		} else {
			put(t, filepath.Join(dir, f.name+".gz"), gz(content[f.name]))
		}
	}
}

// isolate sets RESIDUAL_DATA and the user cache folder to empty folders and returns them.
func isolate(t *testing.T) (env, cache string) {
	t.Helper()
	env, home := t.TempDir(), t.TempDir()
	for _, v := range []string{"HOME", "XDG_CACHE_HOME", "LocalAppData"} {
		t.Setenv(v, home)
	}
	t.Setenv("RESIDUAL_DATA", env)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return env, filepath.Join(cache, "residual")
}

func TestOpenFindsFolders(t *testing.T) {
	s, content := tinySet()
	env, cache := isolate(t)
	named := t.TempDir()
	ctx := context.Background()
	o := Options{Split: Test, Offline: true}
	open := func() string {
		t.Helper()
		ds, err := s.open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		path, _ := s.find(o, s.files[2])
		pix := make([]uint8, 6)
		label, err := ds.Get(1, pix)
		if err != nil || label != 0 || !slices.Equal(pix, content["test-images"][16+6:]) || ds.Len() != 2 {
			t.Fatalf("image 1 of %d: %v, label %d, %v", ds.Len(), pix, label, err)
		}
		return filepath.Dir(path)
	}
	// The last folder to be searched comes first, so each new folder is found before the others.
	for _, dir := range []string{filepath.Join(cache, "tiny"), cache, filepath.Join(env, "tiny"), env} {
		putAll(t, dir, s, content)
		if got := open(); got != dir {
			t.Errorf("read %s, want %s", got, dir)
		}
	}
	o.Dir = named
	if _, err := s.open(ctx, o); err == nil || !strings.Contains(err.Error(), "test-images") ||
		!strings.Contains(err.Error(), "Fetch tiny Options.Dir "+named) {
		t.Errorf("an empty folder that was named gives %v", err)
	}
	for _, dir := range []string{filepath.Join(named, "tiny"), named} {
		putAll(t, dir, s, content)
		if got := open(); got != dir {
			t.Errorf("read %s, want %s", got, dir)
		}
	}
}

func TestOpenRefusesBadFiles(t *testing.T) {
	ctx := context.Background()
	cases := []struct {
		name   string
		damage func(s *idxSet, content map[string][]byte)
		want   []string
	}{
		{"cut short", func(_ *idxSet, c map[string][]byte) { c["train-images"] = c["train-images"][:40] },
			[]string{"train-images", "cut short"}},
		{"gzip cut short", func(_ *idxSet, c map[string][]byte) { z := gz(c["train-images"]); c["train-images"] = z[:len(z)-9] },
			[]string{"train-images", "cut short"}},
		{"gzip checksum", func(_ *idxSet, c map[string][]byte) {
			z := gz(c["train-images"])
			z[len(z)-8]++
			c["train-images"] = z
		}, []string{"train-images", "checksum"}},
		{"another image", func(_ *idxSet, c map[string][]byte) { c["train-images"][20]++ },
			[]string{"train-images", "MD5"}},
		{"another label", func(_ *idxSet, c map[string][]byte) { c["train-labels"][9]++ },
			[]string{"train-labels", "MD5"}},
		{"label out of range", func(s *idxSet, c map[string][]byte) { s.classes = s.classes[:2] },
			[]string{"train-labels", "label 2 is 2, outside 0..1"}},
		{"fewer labels", func(s *idxSet, c map[string][]byte) {
			c["train-labels"] = idxBytes([]uint8{0, 1}, 2)
			sum := md5.Sum(c["train-labels"])
			s.files[1].md5 = hex.EncodeToString(sum[:])
		}, []string{"train-images", "holds 5 images", "train-labels", "2 labels"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			s, content := tinySet()
			c.damage(&s, content)
			dir := t.TempDir()
			for name, b := range content {
				put(t, filepath.Join(dir, name), b)
			}
			_, err := s.open(ctx, Options{Dir: dir, Split: Train})
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range append(c.want, "residual data fetch tiny") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has more than one line", err)
			}
			r, err := s.check(ctx, Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if c.name != "fewer labels" && r.OK {
				t.Errorf("Check finds nothing wrong")
			}
		})
	}
	t.Run("a folder in the file's place", func(t *testing.T) {
		s, _ := tinySet()
		dir := t.TempDir()
		os.Mkdir(filepath.Join(dir, "train-images"), 0o755)
		if _, err := s.open(ctx, Options{Dir: dir, Split: Train}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		s, content := tinySet()
		dir := t.TempDir()
		putAll(t, dir, s, content)
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := s.open(ctx, Options{Dir: dir, Split: Train}); err != context.Canceled {
			t.Errorf("error %v", err)
		}
	})
}

func TestCheckReports(t *testing.T) {
	isolate(t)
	s, content := tinySet()
	dir := t.TempDir()
	r, err := s.check(context.Background(), Options{Dir: dir})
	if err != nil || r.OK || len(r.Files) != 4 || !strings.Contains(r.Files[0].Problem, "missing") {
		t.Fatalf("an empty folder: %+v, %v", r, err)
	}
	putAll(t, dir, s, content)
	r, err = s.check(context.Background(), Options{Dir: dir})
	if err != nil || !r.OK {
		t.Fatalf("%+v, %v", r, err)
	}
	images, labels := r.Files[0], r.Files[1]
	if images.Count != 5 || images.Kind != "images" || !images.DigestOK || images.Bytes != 46 || images.MD5 != s.files[0].md5 {
		t.Errorf("images: %+v", images)
	}
	sum := 0.0
	for _, p := range content["train-images"][16:] {
		sum += float64(p)
	}
	if d := images.PixelMean - sum/30/255; d > 1e-12 || d < -1e-12 || images.PixelStd <= 0 {
		t.Errorf("pixel mean %v, want %v", images.PixelMean, sum/30/255)
	}
	if labels.Count != 5 || labels.LabelMin != 0 || labels.LabelMax != 2 || !slices.Equal(labels.Histogram, []int{2, 2, 1}) || labels.Split != Train {
		t.Errorf("labels: %+v", labels)
	}
}

func TestRegistry(t *testing.T) {
	ctx := context.Background()
	for _, err := range []error{
		func() error { _, err := Open(ctx, "imagenet", Options{}); return err }(),
		func() error { _, err := Fetch(ctx, "imagenet", Options{}); return err }(),
		func() error { _, err := Check(ctx, "imagenet", Options{}); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), `"imagenet"`) || !strings.Contains(err.Error(), "fashion-mnist, garments") {
			t.Errorf("an unknown name gives %v", err)
		}
	}
	if _, err := Open(ctx, "garments", Options{Split: "valid"}); err == nil || !strings.Contains(err.Error(), `"valid"`) {
		t.Errorf("an unknown split gives %v", err)
	}
	for _, n := range Names() {
		if n.Name == "" || n.About == "" || n.Needs == "" {
			t.Errorf("incomplete line %+v", n)
		}
	}
}

// TestRealFashionMNIST reads the published files.
func TestRealFashionMNIST(t *testing.T) {
	if os.Getenv("RESIDUAL_DATA") == "" {
		t.Skip("RESIDUAL_DATA does not name the folder with the Fashion-MNIST files")
	}
	ctx := context.Background()
	r, err := Check(ctx, "fashion-mnist", Options{})
	if err != nil || !r.OK {
		t.Fatalf("%+v, %v", r, err)
	}
	for i, n := range []int{60000, 60000, 10000, 10000} {
		if r.Files[i].Count != n {
			t.Errorf("%s holds %d", r.Files[i].File, r.Files[i].Count)
		}
	}
	for class, n := range r.Files[1].Histogram {
		if n != 6000 || r.Files[3].Histogram[class] != 1000 {
			t.Errorf("class %d has %d and %d labels", class, n, r.Files[3].Histogram[class])
		}
	}
	// The mean and std that the literature quotes: 0.2860 and 0.3530.
	if m, s := r.Files[0].PixelMean, r.Files[0].PixelStd; m < 0.28595 || m > 0.28605 || s < 0.35295 || s > 0.35305 {
		t.Errorf("pixel mean %.5f, std %.5f", m, s)
	}
	test, err := Open(ctx, "fashion-mnist", Options{Split: Test, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	view, big, h := Resize(test, 96), make([]uint8, 96*96), sha256.New()
	for i := range 1000 {
		if _, err := view.Get(i, big); err != nil {
			t.Fatal(err)
		}
		h.Write(big)
	}
	if got, want := hex.EncodeToString(h.Sum(nil)), pillowFixture(t).T10k; got != want {
		t.Errorf("1000 images at 96x96 have the digest %s, Pillow's have %s", got, want)
	}
	ds, err := Open(ctx, "fashion-mnist", Options{Split: Train, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	// The first ten labels of the training file.
	pix := make([]uint8, 784)
	for i, want := range []int{9, 0, 0, 3, 0, 2, 7, 2, 5, 5} {
		if got, err := ds.Get(i, pix); got != want || err != nil {
			t.Errorf("label %d is %d (%v), want %d", i, got, err, want)
		}
	}
}

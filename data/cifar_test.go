package data

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// tinyCifar is a data set of three small files, and their contents by name.
func tinyCifar() (cifarSet, map[string][]byte) {
	s := cifarSet{name: "tiny", classes: []string{"a", "b", "c"}, labels: 2, side: 4, archive: "tiny.tar.gz", folder: "tiny-bin"}
	content := map[string][]byte{}
	add := func(name string, split Split, labels ...uint8) {
		pixels := pillowPixels(len(labels)*s.pixelBytes(), "noise")
		var b []byte
		for i, l := range labels {
			b = append(append(b, 9, l), pixels[i*s.pixelBytes():][:s.pixelBytes()]...)
		}
		sum := md5.Sum(b)
		content[name] = b
		s.files = append(s.files, cifarFile{name, split, len(labels), hex.EncodeToString(sum[:])})
	}
	add("one.bin", Train, 0, 1, 2)
	add("two.bin", Train, 2, 1)
	add("test.bin", Test, 1, 0)
	return s, content
}

// archiveOf returns an archive of the files, in another order than the set's, and one more file.
func archiveOf(content map[string][]byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	names := []string{"readme.html"}
	for name := range content {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names)
	for _, name := range names {
		body := content[name]
		if body == nil {
			body = []byte("read me")
		}
		w.WriteHeader(&tar.Header{Name: "tiny-bin/" + name, Mode: 0o644, Size: int64(len(body))})
		w.Write(body)
	}
	w.Close()
	return gz(b.Bytes())
}

// checkContent fails the test unless the images of the set are those of content.
func (s cifarSet) checkContent(t *testing.T, o Options, content map[string][]byte) {
	t.Helper()
	ds, err := s.open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(content["one.bin"], content["two.bin"])
	if o.Split == Test {
		want = content["test.bin"]
	}
	pix := make([]uint8, s.pixelBytes())
	if ds.Len()*s.recordSize() != len(want) || ds.Info().Channels != 3 || ds.Info().Height != 4 || ds.Info().Width != 4 {
		t.Fatalf("%d images of %+v", ds.Len(), ds.Info())
	}
	for i := range ds.Len() {
		label, err := ds.Get(i, pix)
		if r := want[i*s.recordSize():][:s.recordSize()]; err != nil || label != int(r[1]) || !bytes.Equal(pix, r[2:]) {
			t.Errorf("image %d: label %d, %v", i, label, err)
		}
	}
}

func TestCifarFindsFilesAndArchives(t *testing.T) {
	s, content := tinyCifar()
	env, cache := isolate(t)
	for _, split := range []Split{Train, Test} {
		o := Options{Split: split, Offline: true}
		if _, err := s.open(context.Background(), o); err == nil || !strings.Contains(err.Error(), "tiny.tar.gz is not on this machine") {
			t.Errorf("nothing here: %v", err)
		}
	}
	// The last folder to be searched comes first, so each new file is found before the others.
	for _, at := range []string{filepath.Join(cache, "tiny"), env} {
		put(t, filepath.Join(at, "tiny.tar.gz"), archiveOf(content))
		s.checkContent(t, Options{Split: Train, Offline: true}, content)
		s.checkContent(t, Options{Split: Test, Offline: true}, content)
	}
	put(t, filepath.Join(env, "tiny.tar.gz"), []byte("spoilt"))
	for _, dir := range []string{"tiny-bin", "."} {
		for name, b := range content {
			put(t, filepath.Join(env, dir, name), b)
		}
		s.checkContent(t, Options{Split: Train, Offline: true}, content)
	}
	r, err := s.check(context.Background(), Options{})
	if err != nil || !r.OK || len(r.Files) != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	if f := r.Files[0]; f.Count != 3 || f.LabelMax != 2 || !slices.Equal(f.Histogram, []int{1, 1, 1}) || f.PixelStd <= 0 || f.MD5 != s.files[0].md5 {
		t.Errorf("%+v", f)
	}
	empty := t.TempDir()
	_, err = s.open(context.Background(), Options{Dir: empty, Split: Test})
	if err == nil || !strings.Contains(err.Error(), "Fetch tiny Options.Dir "+empty) {
		t.Errorf("an empty folder that was named gives %v", err)
	}
}

func TestCifarFetch(t *testing.T) {
	s, content := tinyCifar()
	_, cache := isolate(t)
	ctx := context.Background()
	other := map[string][]byte{"one.bin": slices.Clone(content["one.bin"]), "two.bin": content["two.bin"], "test.bin": content["test.bin"]}
	other["one.bin"][5]++
	url, asked := mirror(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/tiny.tar.gz" {
			http.NotFound(w, r)
			return
		}
		w.Write(archiveOf(content))
	})
	otherContent, _ := mirror(t, func(w http.ResponseWriter, r *http.Request) { w.Write(archiveOf(other)) })
	page, _ := mirror(t, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>")) })
	o := Options{Mirrors: []string{page, otherContent, url}}
	dir := t.TempDir()
	named := o
	named.Dir = dir
	got, err := s.fetch(ctx, named)
	if err != nil || got != filepath.Join(dir, "tiny") || asked.Load() != 1 {
		t.Fatalf("%s after %d requests, %v", got, asked.Load(), err)
	}
	if files := listing(t, got); !slices.Equal(files, []string{"tiny.tar.gz"}) {
		t.Errorf("the folder holds %v", files)
	}
	if _, err := s.fetch(ctx, named); err != nil || asked.Load() != 1 {
		t.Errorf("good files are fetched again: %d requests, %v", asked.Load(), err)
	}
	// Damaged plain files, which would be found before the archive, are removed.
	for name, b := range content {
		put(t, filepath.Join(dir, "tiny", name), b[:len(b)-1])
	}
	if _, err := s.open(ctx, Options{Dir: dir, Split: Train}); err == nil || !strings.Contains(err.Error(), "cut short: it holds 2 of 3") {
		t.Errorf("cut files: %v", err)
	}
	if _, err := s.fetch(ctx, named); err != nil {
		t.Fatal(err)
	}
	s.checkContent(t, Options{Dir: dir, Split: Train}, content)
	o.Split = Test // opening downloads into the cache
	t.Setenv("RESIDUAL_DATA", "")
	s.checkContent(t, o, content)
	if _, err := os.Stat(filepath.Join(cache, "tiny", "tiny.tar.gz")); err != nil {
		t.Error(err)
	}
	bad := Options{Dir: t.TempDir(), Mirrors: []string{otherContent}}
	if _, err := s.fetch(ctx, bad); err == nil || !strings.Contains(err.Error(), "MD5") || strings.Contains(err.Error(), "\n") {
		t.Errorf("other content: %v", err)
	}
	if _, err := s.fetch(ctx, Options{Dir: t.TempDir(), Mirrors: []string{url}, Offline: true}); err == nil || !strings.Contains(err.Error(), "turned off") {
		t.Errorf("offline: %v", err)
	}
}

func TestCifarRefusesBadFiles(t *testing.T) {
	isolate(t)
	claims := func(size int64) []byte { // a member that promises size bytes
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		w.WriteHeader(&tar.Header{Name: "x/one.bin", Size: size})
		return gz(b.Bytes())
	}
	for name, c := range map[string]struct {
		damage func(s *cifarSet, content map[string][]byte) []byte // returns the archive
		want   string
	}{
		"another byte":   {func(_ *cifarSet, c map[string][]byte) []byte { c["one.bin"][7]++; return archiveOf(c) }, "MD5"},
		"a label beyond": {func(s *cifarSet, c map[string][]byte) []byte { s.classes = s.classes[:2]; return archiveOf(c) }, "outside 0..1"},
		"one missing":    {func(_ *cifarSet, c map[string][]byte) []byte { delete(c, "two.bin"); return archiveOf(c) }, "does not hold two.bin"},
		"one longer": {func(_ *cifarSet, c map[string][]byte) []byte {
			c["two.bin"] = append(c["two.bin"], 0)
			return archiveOf(c)
		}, "goes on"},
		"one shorter":     {func(_ *cifarSet, c map[string][]byte) []byte { c["two.bin"] = c["two.bin"][1:]; return archiveOf(c) }, "cut short"},
		"gzip cut":        {func(_ *cifarSet, c map[string][]byte) []byte { z := archiveOf(c); return z[:len(z)/2] }, "unexpected EOF"},
		"no gzip":         {func(*cifarSet, map[string][]byte) []byte { return []byte("PK\x03\x04") }, "is not a complete gzip file"},
		"no tar":          {func(*cifarSet, map[string][]byte) []byte { return gz(bytes.Repeat([]byte("x"), 2000)) }, "is not a complete archive"},
		"promises 1 TB":   {func(*cifarSet, map[string][]byte) []byte { return claims(1 << 40) }, "cut short"},
		"unpacks forever": {func(*cifarSet, map[string][]byte) []byte { return gz(make([]byte, 64<<20)) }, "does not hold"},
	} {
		t.Run(name, func(t *testing.T) {
			s, content := tinyCifar()
			dir := t.TempDir()
			put(t, filepath.Join(dir, "tiny.tar.gz"), c.damage(&s, content))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := s.open(context.Background(), Options{Dir: dir, Split: Train})
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "tiny.tar.gz") ||
				!strings.Contains(err.Error(), "residual data fetch tiny") || strings.Contains(err.Error(), "\n") {
				t.Errorf("want %q, got %v", c.want, err)
			}
			if grew := after.TotalAlloc - before.TotalAlloc; grew > 8<<20 {
				t.Errorf("took %d MB", grew>>20)
			}
			r, err := s.check(context.Background(), Options{Dir: dir})
			if err != nil || r.OK {
				t.Errorf("check finds nothing wrong: %+v, %v", r, err)
			}
		})
	}
}

// The built-in sets have the published sizes, and Check of missing files gives the next step.
func TestNamedSets(t *testing.T) {
	isolate(t)
	for name, want := range map[string]struct {
		train, classes int
		bytes          int64
	}{"mnist": {60000, 10, 0}, "cifar10": {50000, 10, 184_380_000}, "cifar100": {50000, 100, 184_440_000}} {
		s, err := lookup(name, &Options{})
		if err != nil {
			t.Fatal(err)
		}
		switch s := s.(type) {
		case idxSet:
			if s.files[0].dims[0] != want.train || len(s.classes) != want.classes {
				t.Errorf("%s: %+v", name, s)
			}
		case cifarSet:
			n := 0
			for _, f := range ofPart(s.files, Train) {
				n += f.count
			}
			if n != want.train || len(s.classes) != want.classes || s.contentSize() != want.bytes || ofPart(s.files, Test)[0].count != 10000 {
				t.Errorf("%s: %d images, %d classes, %d bytes", name, n, len(s.classes), s.contentSize())
			}
		}
		r, err := Check(context.Background(), name, Options{})
		if err != nil || r.OK || !strings.Contains(r.Files[0].Problem, "residual data fetch "+name) {
			t.Errorf("%s, not here: %+v, %v", name, r, err)
		}
	}
}

package download

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// content is the file that every server below has.
var content = bytes.Repeat([]byte("0123456789abcdef"), 1<<14)

// server answers like http.ServeContent, but breaks off the first answers after cut bytes of
// their body. It records the ranges of the requests.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	cuts   []int
	ranges []string
	etag   func(asked int) string
	plain  bool // it ignores ranges
	body   []byte
}

func serve(t *testing.T, s *server) *server {
	if s.body == nil {
		s.body = content
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		asked := len(s.ranges)
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		s.mu.Unlock()
		if s.etag != nil {
			w.Header().Set("ETag", s.etag(asked))
		}
		if s.plain {
			r.Header.Del("Range")
		}
		if asked < len(s.cuts) {
			w = &breaking{ResponseWriter: w, room: s.cuts[asked]}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.body))
	}))
	t.Cleanup(s.Close)
	return s
}

type breaking struct {
	http.ResponseWriter
	room int
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.room -= len(p); b.room < 0 {
		b.ResponseWriter.Write(p[:len(p)+b.room])
		b.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return b.ResponseWriter.Write(p)
}

// checkContent is a check that accepts only the content that the server sends.
func checkContent(_ context.Context, f *os.File) error {
	if b, err := io.ReadAll(f); err != nil || !bytes.Equal(b, content) {
		return NewPermanent(fmt.Errorf("other content of %d bytes (%v)", len(b), err))
	}
	return nil
}

var impatient = Downloader{Backoff: time.Millisecond, Stall: time.Second}

// get downloads a file and checks that nothing else, apart from left, is in its folder.
func get(t *testing.T, f File, left string, addresses ...string) error {
	t.Helper()
	err := impatient.Get(context.Background(), addresses, f)
	if err == nil {
		if b, err := os.ReadFile(f.Path); err != nil || !bytes.Equal(b, content) {
			t.Errorf("the file has %d bytes (%v)", len(b), err)
		}
	}
	entries, _ := os.ReadDir(filepath.Dir(f.Path))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != left {
		t.Errorf("left %q, want %q (%v)", got, left, err)
	}
	return err
}

func TestResumesWithinOneGet(t *testing.T) {
	s := serve(t, &server{cuts: []int{1000, 100_000}})
	var told []int64
	f := File{Path: filepath.Join(t.TempDir(), "f"), Verify: checkContent, Progress: func(done, total int64) {
		if total != int64(len(content)) || len(told) > 0 && done < told[len(told)-1] {
			t.Errorf("progress %d of %d after %v", done, total, told)
		}
		told = append(told, done)
	}}
	if err := get(t, f, "f", s.URL); err != nil {
		t.Fatal(err)
	}
	if len(s.ranges) != 3 || s.ranges[0] != "" || s.ranges[1] != "bytes=1000-" || !strings.HasPrefix(s.ranges[2], "bytes=") || s.ranges[2] == s.ranges[1] {
		t.Errorf("ranges %q", s.ranges)
	}
}

func TestResumesInTheNextGet(t *testing.T) {
	dir := t.TempDir()
	f := File{Path: filepath.Join(dir, "f"), Part: filepath.Join(dir, "p"), Verify: checkContent}
	s := serve(t, &server{cuts: []int{1000, 10, 10}})
	if err := get(t, f, "p", s.URL); err == nil || !strings.Contains(err.Error(), "stopped after 1020 bytes") {
		t.Fatalf("got %v", err)
	}
	if err := get(t, f, "f", s.URL); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.ranges, " "); got != " bytes=1000- bytes=1010- bytes=1020-" {
		t.Errorf("ranges %q", got)
	}
	// A part that is complete already.
	if err := os.WriteFile(f.Part, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := get(t, f, "f", s.URL); err != nil {
		t.Errorf("a whole part: %v", err)
	}
	// Parts of another file, shorter and longer, are discarded.
	for _, wrong := range [][]byte{[]byte("wrong"), append([]byte("x"), content...), append([]byte("x"), content[1:]...)} {
		if err := os.WriteFile(f.Part, wrong, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := get(t, f, "f", s.URL); err != nil {
			t.Errorf("a wrong part of %d bytes: %v", len(wrong), err)
		}
	}
}

func TestServerWithoutRanges(t *testing.T) {
	s := serve(t, &server{cuts: []int{5000}, plain: true})
	if err := get(t, File{Path: filepath.Join(t.TempDir(), "f"), Verify: checkContent}, "f", s.URL); err != nil {
		t.Error(err)
	}
}

// Without a digest, a download is resumed only if the server identifies the content by an ETag.
func TestContentThatChanges(t *testing.T) {
	for _, c := range []struct {
		etag func(int) string
		want string
	}{
		{nil, " "},
		{func(int) string { return `W/"weak"` }, " "},
		{func(int) string { return `"one"` }, " bytes=1000-"},
		{func(asked int) string { return fmt.Sprintf("%q", fmt.Sprint(asked)) }, " bytes=1000-"}, // answered from the start
	} {
		s := serve(t, &server{cuts: []int{1000}, etag: c.etag})
		if err := get(t, File{Path: filepath.Join(t.TempDir(), "f")}, "f", s.URL); err != nil {
			t.Error(err)
		}
		if got := strings.Join(s.ranges, " "); got != c.want {
			t.Errorf("ranges %q, want %q", got, c.want)
		}
	}
}

func TestPartsOfTwoServersAreNotMixed(t *testing.T) {
	a, b := serve(t, &server{cuts: []int{1000, 1000, 1000}}), serve(t, &server{})
	if err := get(t, File{Path: filepath.Join(t.TempDir(), "f"), Verify: checkContent}, "f", a.URL, b.URL); err != nil || b.ranges[0] != "" {
		t.Errorf("%v, ranges %q", err, b.ranges)
	}
}

func TestWrongRange(t *testing.T) {
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 7-%d/%d", len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(content[7:])
			return
		}
		w.Write(content)
	}))
	defer wrong.Close()
	dir := t.TempDir()
	f := File{Path: filepath.Join(dir, "f"), Part: filepath.Join(dir, "p"), Verify: checkContent}
	if err := os.WriteFile(f.Part, content[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := get(t, f, "f", wrong.URL); err != nil {
		t.Error(err)
	}
}

func TestRefuses(t *testing.T) {
	other := serve(t, &server{body: []byte("other")})
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	dir := t.TempDir()
	f := File{Path: filepath.Join(dir, "f"), Part: filepath.Join(dir, "p"), Verify: checkContent}
	if err := get(t, f, "", other.URL, missing.URL); err == nil || !strings.Contains(err.Error(), "other content of 5 bytes") || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v", err)
	}
	f.MaxBytes = 3
	if err := get(t, f, "", other.URL); err == nil || !strings.Contains(err.Error(), "offers 5 bytes where at most 3") {
		t.Errorf("got %v", err)
	}
	var local *os.PathError
	f.Path, f.Part = filepath.Join(dir, "absent", "f"), ""
	if err := impatient.Get(context.Background(), []string{other.URL}, f); !errors.As(err, &local) {
		t.Errorf("no folder: %v", err)
	}
}

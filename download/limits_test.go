package download

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// endless serves chunks until the client closes the connection, but at most limit bytes, so
// that an endless download fails the test without filling the disk.
func endless(t *testing.T, chunk int, pause time.Duration, header http.Header) (address string, sent *atomic.Int64) {
	const limit = 64 << 20
	sent = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for k := range header {
			w.Header().Set(k, header.Get(k))
		}
		buf := make([]byte, chunk)
		for sent.Load() < limit && r.Context().Err() == nil {
			n, err := w.Write(buf)
			if err != nil {
				return
			}
			sent.Add(int64(n))
			w.(http.Flusher).Flush()
			time.Sleep(pause)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, sent
}

func TestEndlessAnswers(t *testing.T) {
	const most = 1 << 20
	dir := t.TempDir()
	address, sent := endless(t, 1<<16, 0, nil)
	f := File{Path: filepath.Join(dir, "f"), MaxBytes: most}
	for _, part := range []string{"", filepath.Join(dir, "p")} {
		f.Part = part
		sent.Store(0)
		var large *TooLargeError
		err := get(t, f, "", address)
		if !errors.As(err, &large) || large.Max != most || large.Offered != 0 || !errors.As(err, &Permanent{}) {
			t.Errorf("part %q: got %v", part, err)
		}
		if n := sent.Load(); n > 16*most { // the system's buffers may take more than the client reads
			t.Errorf("part %q: the server sent %d bytes", part, n)
		}
	}
	// A stated length that is too large is refused before anything is written.
	address, _ = endless(t, 1, time.Millisecond, http.Header{"Content-Length": {fmt.Sprint(most + 1)}})
	var large *TooLargeError
	if err := get(t, f, "", address); !errors.As(err, &large) || large.Offered != most+1 {
		t.Errorf("got %v", err)
	}
	// The default limit applies if MaxBytes is 0.
	address, _ = endless(t, 1, time.Millisecond, http.Header{"Content-Length": {fmt.Sprint(DefaultMaxBytes + 1)}})
	if err := get(t, File{Path: f.Path}, "", address); !errors.As(err, &large) || large.Max != DefaultMaxBytes {
		t.Errorf("got %v", err)
	}
	// An unfinished file that is larger than MaxBytes is not resumed.
	if err := os.WriteFile(f.Part, make([]byte, most+1), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, &server{})
	if err := get(t, f, "f", s.URL); err != nil || s.ranges[0] != "" {
		t.Errorf("got %v after the ranges %q", err, s.ranges)
	}
}

func TestSlowAnswers(t *testing.T) {
	dir := t.TempDir()
	d := Downloader{Backoff: time.Millisecond, Stall: 100 * time.Millisecond, MinRate: 1 << 20}
	drip, _ := endless(t, 1, 10*time.Millisecond, http.Header{"Content-Length": {"100000"}})
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer silent.Close()
	f := File{Path: filepath.Join(dir, "f"), Part: filepath.Join(dir, "p"), Verify: checkContent}
	for _, c := range []struct{ address, want string }{{silent.URL, "nothing arrived for 100ms"}, {drip, "bytes arrived in 100ms"}} {
		if err := d.Get(context.Background(), []string{c.address}, f); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	// The next download resumes after what the slow server sent.
	info, err := os.Stat(f.Part)
	if err != nil || info.Size() == 0 {
		t.Fatalf("no part is left: %v", err)
	}
	s := serve(t, &server{})
	if err := os.WriteFile(f.Part, content[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := get(t, f, "f", s.URL); err != nil || s.ranges[0] != "bytes=10-" {
		t.Errorf("got %v after the ranges %q", err, s.ranges)
	}
}

// The unfinished file of a killed process is removed later.
func TestAbandonedParts(t *testing.T) {
	dir := t.TempDir()
	old, recent, other := filepath.Join(dir, ".f.123.part"), filepath.Join(dir, ".f.456.part"), filepath.Join(dir, ".g.123.part")
	for _, name := range []string{old, recent, other} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * abandonedPart)
	for _, name := range []string{old, other} {
		if err := os.Chtimes(name, long, long); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, &server{})
	if err := get(t, File{Path: filepath.Join(dir, "f"), Verify: checkContent}, ".f.456.part .g.123.part f", s.URL); err != nil {
		t.Error(err)
	}
}

package data

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/residual-ml/residual/download"
)

// mirror starts a server and counts its requests.
func mirror(t *testing.T, h http.HandlerFunc) (string, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, &asked
}

func serve(content map[string][]byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), ".gz")
		if content[name] == nil {
			http.NotFound(w, r)
			return
		}
		w.Write(gz(content[name]))
	}
}

// listing returns the names in a folder, hidden ones too.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestFetchAndOpen(t *testing.T) {
	s, content := tinySet()
	_, cache := isolate(t)
	url, asked := mirror(t, serve(content))
	o := Options{Mirrors: []string{url + "/"}, Split: Train}
	calls := int64(0)
	o.Progress = func(done, total int64, what string) {
		calls++
		if done <= 0 || total != 0 && done > total || !strings.HasSuffix(what, ".gz") {
			t.Errorf("progress %d of %d of %q", done, total, what)
		}
	}
	// Open downloads into the cache although RESIDUAL_DATA is set.
	ds, err := s.open(context.Background(), o)
	if err != nil || ds.Len() != 5 || asked.Load() != 2 || calls == 0 {
		t.Fatalf("%v; asked %d times, %d progress calls", err, asked.Load(), calls)
	}
	if got := listing(t, filepath.Join(cache, "tiny")); len(got) != 2 {
		t.Errorf("the cache holds %v", got)
	}
	if _, err := s.open(context.Background(), o); err != nil || asked.Load() != 2 {
		t.Errorf("downloaded again (%v)", err)
	}
	// Fetch downloads all four into Options.Dir, keeps good files and replaces damaged ones.
	o.Dir = t.TempDir()
	dir, err := s.fetch(context.Background(), o)
	if err != nil || dir != filepath.Join(o.Dir, "tiny") || len(listing(t, dir)) != 4 || asked.Load() != 6 {
		t.Fatalf("%s, %v; asked %d times", dir, err, asked.Load())
	}
	put(t, filepath.Join(dir, "test-labels.gz"), []byte("nonsense"))
	put(t, filepath.Join(dir, "train-labels"), []byte("nonsense")) // hides the good .gz
	if dir, err = s.fetch(context.Background(), o); err != nil || asked.Load() != 8 {
		t.Fatalf("%v; asked %d times", err, asked.Load())
	}
	if r, err := s.check(context.Background(), o); err != nil || !r.OK || len(listing(t, dir)) != 4 {
		t.Errorf("after damaged files were replaced: %+v, %v, %v", r, err, listing(t, dir))
	}
}

// flakyAfter answers with bad twice and then with good.
func flakyAfter(bad, good http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) < 3 {
			bad(w, r)
			return
		}
		good(w, r)
	}
}

func TestDownloadFailures(t *testing.T) {
	s, content := tinySet()
	f := s.files[0]
	good := serve(content)
	other := serve(map[string][]byte{f.name: idxBytes(pillowPixels(30, "edges"), 5, 2, 3)})
	cut := func(w http.ResponseWriter, r *http.Request) {
		body := gz(content[f.name])
		w.Header().Set("Content-Length", "60")
		w.Write(body[:20])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	broken := func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<14)); err != nil {
				return
			}
		}
	}
	huge := func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "99999999") }
	silent := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	flaky := func() http.HandlerFunc { return flakyAfter(broken, good) }
	// The server ends an answer by closing the connection, so its length is unknown.
	short := func(w http.ResponseWriter, r *http.Request) { w.Write(gz(content[f.name])[:30]) }
	plain := func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>not the file</html>")) }
	for _, c := range []struct {
		name    string
		mirrors []http.HandlerFunc
		asked   []int64
		want    []string // of the error; none for success
	}{
		{"second after 500", []http.HandlerFunc{broken, good}, []int64{1, 1}, nil},
		{"second after a cut", []http.HandlerFunc{cut, good}, []int64{1, 1}, nil},
		{"second after other content", []http.HandlerFunc{other, good}, []int64{1, 1}, nil},
		{"third round after short files", []http.HandlerFunc{flakyAfter(short, good)}, []int64{3}, nil},
		{"second after 404", []http.HandlerFunc{http.NotFound, good}, []int64{1, 1}, nil},
		{"second after an endless answer", []http.HandlerFunc{endless, good}, []int64{1, 1}, nil},
		{"second after silence", []http.HandlerFunc{silent, good}, []int64{1, 1}, nil},
		{"third round", []http.HandlerFunc{flaky()}, []int64{3}, nil},
		{"third round, the other one with other content", []http.HandlerFunc{other, flaky()}, []int64{1, 3}, nil},
		{"all broken", []http.HandlerFunc{broken, cut}, []int64{3, 3}, []string{"500", "stopped after"}},
		{"permanent errors from all", []http.HandlerFunc{other, http.NotFound, huge, plain}, []int64{1, 1, 1, 1}, []string{"MD5", "404", "are accepted"}},
		{"no mirror", nil, nil, []string{"no mirror"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, f.name+".gz")
			var urls []string
			var asked []*atomic.Int64
			for _, h := range c.mirrors {
				u, n := mirror(t, h)
				urls, asked = append(urls, u), append(asked, n)
			}
			d := download.Downloader{Client: &http.Client{}, Backoff: time.Millisecond, Stall: 300 * time.Millisecond}
			err := getFile(context.Background(), d, path, f, urls, nil)
			for i, n := range asked {
				if n.Load() != c.asked[i] {
					t.Errorf("mirror %d was asked %d times, want %d (%v)", i, n.Load(), c.asked[i], err)
				}
			}
			if c.want == nil {
				if got, _ := os.ReadFile(path); err != nil || !bytes.Equal(got, gz(content[f.name])) || len(listing(t, dir)) != 1 {
					t.Errorf("%v; the folder holds %v", err, listing(t, dir))
				}
				return
			}
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q, want a line with %q", err, w)
				}
			}
			if got := listing(t, dir); len(got) != 0 {
				t.Errorf("left %v behind", got)
			}
		})
	}
}

func TestDownloadCancelled(t *testing.T) {
	s, content := tinySet()
	isolate(t)
	for _, c := range []struct {
		name string
		h    func(cancel func()) http.HandlerFunc
	}{
		{"in the body", func(cancel func()) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "60")
				w.Write(gz(content["train-images"])[:20])
				w.(http.Flusher).Flush()
				cancel()
				<-r.Context().Done()
			}
		}},
		{"while waiting for a round", func(cancel func()) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				time.AfterFunc(20*time.Millisecond, cancel)
				http.Error(w, "no", http.StatusServiceUnavailable)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			url, _ := mirror(t, c.h(cancel))
			dir := t.TempDir()
			_, err := s.fetch(ctx, Options{Dir: dir, Mirrors: []string{url}})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			if got := listing(t, filepath.Join(dir, "tiny")); len(got) != 0 {
				t.Errorf("left %v behind", got)
			}
		})
	}
}

func TestDownloadIntoAFile(t *testing.T) {
	s, content := tinySet()
	isolate(t)
	url, asked := mirror(t, serve(content))
	dir := filepath.Join(t.TempDir(), "taken")
	put(t, dir, nil)
	_, err := s.fetch(context.Background(), Options{Dir: dir, Mirrors: []string{url}})
	if err == nil || !strings.Contains(err.Error(), "with Options.Dir") || asked.Load() != 0 {
		t.Errorf("error %v after %d requests", err, asked.Load())
	}
}

func TestOfflineDownloadsNothing(t *testing.T) {
	s, content := tinySet()
	isolate(t)
	url, asked := mirror(t, serve(content))
	o := Options{Mirrors: []string{url}, Offline: true, Split: Train}
	_, err := s.open(context.Background(), o)
	if err == nil || !strings.Contains(err.Error(), "garments") {
		t.Errorf("open: %v", err)
	}
	if _, err := s.fetch(context.Background(), o); err == nil || !strings.Contains(err.Error(), "turned off") {
		t.Errorf("fetch: %v", err)
	}
	if asked.Load() != 0 {
		t.Errorf("asked %d times", asked.Load())
	}
}

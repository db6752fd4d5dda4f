package hub

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/download"
)

// A download from a server that states no length and never ends is stopped at the limit for
// this kind of file, with or without a digest, and leaves nothing behind.
func TestEndlessServers(t *testing.T) {
	const limit = 1 << 20
	for _, what := range []string{"unknown", "digest", "config", "stated"} {
		sent := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if what == "stated" { // the server states less than it sends
				w.Header().Set("X-Linked-Size", "1000")
			}
			if what == "digest" || what == "stated" {
				w.Header().Set("X-Linked-Etag", `"`+sum(content)+`"`)
			}
			if what == "config" && !strings.HasSuffix(r.URL.Path, ".json") {
				w.Write(content)
				return
			}
			if r.Method == http.MethodHead {
				return
			}
			for buf := make([]byte, 1<<16); sent < 64<<20 && r.Context().Err() == nil; sent += len(buf) {
				if _, err := w.Write(buf); err != nil {
					return
				}
				w.(http.Flusher).Flush()
			}
		}))
		c := Cache{Dir: t.TempDir(), Endpoint: s.URL, client: &http.Client{}, MaxBytes: limit, downloader: download.Downloader{Backoff: time.Millisecond, Stall: time.Second}}
		f, err := pull(t, c, "hf:timm/net")
		if what == "config" {
			if err != nil {
				t.Fatal(err)
			}
			r, _ := Parse("hf:timm/net")
			_, problems := c.PullConfigs(t.Context(), r, f)
			if err = errors.Join(problems...); len(problems) != len(Configs) {
				t.Errorf("%s: %d problems", what, len(problems))
			}
		}
		var large *download.TooLargeError
		if !errors.As(err, &large) {
			t.Errorf("%s: got %v", what, err)
		}
		if left := leftovers(t, c); len(left) > 0 {
			t.Errorf("%s: %q is left", what, left)
		}
		s.Close()
	}
}

// A file whose stated length is above the limit is refused without a download.
func TestAnnouncedTooLarge(t *testing.T) {
	s := newSite(t)
	c := s.cache(t)
	c.MaxBytes = int64(len(content)) - 1
	_, err := pull(t, c, "hf:timm/net")
	if want := fmt.Sprintf("offers %d bytes where at most %d are accepted", len(content), len(content)-1); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	for _, asked := range s.asked {
		if strings.HasPrefix(asked, "store GET") {
			t.Errorf("asked %q", s.asked)
		}
	}
	entries, _ := os.ReadDir(filepath.Join(c.Dir, "hf", "timm", "net", "main"))
	if len(entries) != 0 {
		t.Errorf("%d files are left", len(entries))
	}
}

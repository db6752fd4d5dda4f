package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/residual-ml/residual/download"
)

var content = bytes.Repeat([]byte("weights "), 1<<13)

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// site stands in for Hugging Face and the host from which it serves large files.
type site struct {
	hub, store *httptest.Server
	content    []byte
	linked     string // the digest in the hub's headers
	mu         sync.Mutex
	cut        int // bytes after which the store breaks off, the first time
	asked      []string
}

func newSite(t *testing.T) *site {
	s := &site{content: content, linked: sum(content)}
	s.store = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cut := s.note("store "+r.Method+" "+r.Header.Get("Range"), r.Method == http.MethodGet)
		if cut > 0 {
			w.Header().Set("Content-Length", fmt.Sprint(len(s.content)))
			w.Write(s.content[:cut])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.content))
	}))
	s.hub = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.note("hub "+r.Method+" "+r.URL.Path, false)
		switch r.URL.Path {
		case "/old/net/resolve/main/model.safetensors": // a model that moved
			http.Redirect(w, r, "/timm/net/resolve/main/model.safetensors", http.StatusTemporaryRedirect)
		case "/timm/net/resolve/main/model.safetensors", "/timm/net/resolve/v1/sub/pytorch_model.bin":
			w.Header().Set("X-Linked-Etag", `"`+s.linked+`"`)
			w.Header().Set("X-Linked-Size", fmt.Sprint(len(s.content)))
			w.Header().Set("X-Repo-Commit", "c0ffee")
			http.Redirect(w, r, s.store.URL+"/blob", http.StatusFound)
		case "/timm/net/resolve/main/config.json": // the hub serves small files itself
			w.Header().Set("ETag", `"2fd8d5aa"`)
			w.Write([]byte("{}"))
		case "/private/net/resolve/main/model.safetensors":
			http.Error(w, "no", http.StatusUnauthorized)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.hub.Close)
	t.Cleanup(s.store.Close)
	return s
}

// note records a request and returns after how many bytes to break off.
func (s *site) note(what string, get bool) (cut int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what)
	if get {
		cut, s.cut = s.cut, 0
	}
	return cut
}

func (s *site) cache(t *testing.T) Cache {
	return Cache{Dir: t.TempDir(), Endpoint: s.hub.URL, client: &http.Client{}, downloader: download.Downloader{Backoff: time.Millisecond, Stall: time.Second}}
}

func pull(t *testing.T, c Cache, text string) (File, error) {
	t.Helper()
	r, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c.Pull(context.Background(), r)
}

// leftovers lists the unfinished files in the cache.
func leftovers(t *testing.T, c Cache) (names []string) {
	filepath.WalkDir(c.Dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".part") {
			names = append(names, filepath.Base(path))
		}
		return nil
	})
	return names
}

func TestPull(t *testing.T) {
	s := newSite(t)
	c := s.cache(t)
	var last int64
	c.Progress = func(done, total int64, what string) {
		if last = done; total != int64(len(content)) || what != "model.safetensors" {
			t.Errorf("progress %d of %d of %s", done, total, what)
		}
	}
	f, err := pull(t, c, "hf:timm/net")
	if err != nil {
		t.Fatal(err)
	}
	want := File{Path: filepath.Join(c.Dir, "hf", "timm", "net", "main", "model.safetensors"), Bytes: int64(len(content)), SHA256: sum(content),
		Commit: "c0ffee", Source: s.hub.URL + "/timm/net/resolve/main/model.safetensors"}
	if got, err := os.ReadFile(f.Path); f != want || err != nil || !bytes.Equal(got, content) || last != int64(len(content)) {
		t.Errorf("%+v, %v, want %+v", f, err, want)
	}
	// The second time, no server is asked, offline or not.
	s.asked = nil
	for _, c.Offline = range []bool{false, true} {
		want.Cached = true
		if f, err := pull(t, c, "hf:timm/net@main/model.safetensors#sha256="+sum(content)); err != nil || f != want || len(s.asked) > 0 {
			t.Errorf("%+v, %v, asked %q", f, err, s.asked)
		}
	}
	// A damaged file is downloaded again.
	c.Offline = false
	if err := os.WriteFile(f.Path, content[1:], 0o644); err != nil {
		t.Fatal(err)
	}
	if f, err := pull(t, c, "hf:timm/net"); err != nil || f.Cached || f.SHA256 != sum(content) {
		t.Errorf("%+v, %v", f, err)
	}
	// Refresh notices that a branch has changed.
	s.content = append([]byte("new "), content...)
	s.linked = sum(s.content)
	c.Progress = nil
	if f, err := pull(t, c, "hf:timm/net"); err != nil || !f.Cached {
		t.Errorf("%+v, %v", f, err)
	}
	c.Refresh = true
	if f, err := pull(t, c, "hf:timm/net"); err != nil || f.Cached || f.SHA256 != s.linked {
		t.Errorf("%+v, %v", f, err)
	}
	if got := leftovers(t, c); got != nil {
		t.Errorf("left %q", got)
	}
}

// The configuration files of a repository come with its weights and are requested only once.
func TestPullConfigs(t *testing.T) {
	s := newSite(t)
	c := s.cache(t)
	r, err := Parse("hf:timm/net#sha256=" + sum(content))
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Pull(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(f.Path), "config.json")
	files, problems := c.PullConfigs(context.Background(), r, f)
	if len(problems) > 0 || len(files) != 1 || files[0].Path != beside || files[0].SHA256 != sum([]byte("{}")) {
		t.Errorf("%+v, %v", files, problems)
	}
	s.asked = nil
	f.Cached = true
	if files, problems = c.PullConfigs(context.Background(), r, f); len(problems) > 0 || len(files) != 1 || len(s.asked) > 0 {
		t.Errorf("the second time: %+v, %v, asked %q", files, problems, s.asked)
	}
	f.Cached = false
	elsewhere := r
	elsewhere.Owner = "other"
	if files, problems = c.PullConfigs(context.Background(), elsewhere, f); len(problems) > 0 || len(files) > 0 {
		t.Errorf("where there are none: %+v, %v", files, problems)
	}
	s.hub.Close()
	c.Refresh = true
	if files, problems = c.PullConfigs(context.Background(), r, f); len(problems) != 2 || len(files) > 0 || !strings.Contains(problems[0].Error(), "config.json") {
		t.Errorf("without an answer: %+v, %v", files, problems)
	}
	if _, err := os.Stat(beside); err != nil {
		t.Error(err)
	}
}

// External files of a model are downloaded with their digests and resumed. No file outside the
// model's folder is requested.
func TestPullExternalData(t *testing.T) {
	s := newSite(t)
	c := s.cache(t)
	r, err := Parse("hf:timm/net@v1/sub/net.onnx#sha256=" + sum([]byte("graph")))
	if err != nil {
		t.Fatal(err)
	}
	f := File{Path: filepath.Join(c.Dir, "hf", "timm", "net", "v1", "sub", "net.onnx")}
	s.cut = 1000 // the first answer
	ctx, cancel := context.WithCancel(context.Background())
	c.Progress = func(done, total int64, what string) {
		if done == 1000 {
			cancel()
		}
	}
	if _, err := c.PullBeside(ctx, r, f, []string{"pytorch_model.bin"}); err != context.Canceled {
		t.Fatalf("got %v", err)
	}
	c.Progress, s.asked = nil, nil
	for _, c.Offline = range []bool{false, true} { // the second time, it is cached
		files, err := c.PullBeside(context.Background(), r, f, []string{"./pytorch_model.bin"})
		if err != nil || len(files) != 1 || files[0].SHA256 != s.linked || files[0].Path != filepath.Join(filepath.Dir(f.Path), "pytorch_model.bin") {
			t.Fatalf("%+v, %v", files, err)
		}
	}
	if last := s.asked[len(s.asked)-1]; last != "store GET bytes=1000-" {
		t.Errorf("asked %q", s.asked)
	}
	s.asked, c.Offline = nil, false
	for _, name := range []string{"../net.onnx", "/etc/passwd", "a/../../b", ".hidden", "", ".", "a//../..", `..\b`, "c:x", "x%2fy", "net.onnx.source.json"} {
		_, err := c.PullBeside(context.Background(), r, f, []string{name})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("has weights in %q, which belongs beside %s", name, f.Path)) || !strings.Contains(err.Error(), "cannot be a part of a name") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if len(s.asked) > 0 {
		t.Errorf("asked %q", s.asked)
	}
	if _, err := c.PullBeside(context.Background(), r, f, []string{"gone.data"}); err == nil || !strings.Contains(err.Error(), `"gone.data"`) || !strings.Contains(err.Error(), "there is no such file") {
		t.Errorf("got %v", err)
	}
	s.linked = sum([]byte("other"))
	c.Refresh = true
	if _, err := c.PullBeside(context.Background(), r, f, []string{"pytorch_model.bin"}); err == nil || !strings.Contains(err.Error(), "sent other content") {
		t.Errorf("got %v", err)
	}
}

// A file beside one at an address is fetched from the same folder of the server, and lies beside
// it in the cache.
func TestPullExternalDataOfAnAddress(t *testing.T) {
	c := newSite(t).cache(t)
	var asked []string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		w.Write(content)
	}))
	defer s.Close()
	c.client = s.Client()
	r, err := Parse(s.URL + "/m/net.onnx?download=true")
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Pull(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	asked = nil
	files, err := c.PullBeside(context.Background(), r, f, []string{"d/net.onnx.data"})
	if err != nil || len(files) != 1 || files[0].Path != filepath.Join(filepath.Dir(f.Path), "d", "net.onnx.data") || asked[0] != "/m/d/net.onnx.data?download=true" {
		t.Errorf("%+v, %v, asked %q", files, err, asked)
	}
	r.Address = strings.Replace(r.Address, "https:", "http:", 1)
	if _, err := c.PullBeside(context.Background(), r, f, []string{"net.onnx.data"}); err == nil || !strings.Contains(err.Error(), "an http address, unlike https, needs one") {
		t.Errorf("got %v", err)
	}
}

func TestPullOthers(t *testing.T) {
	s := newSite(t)
	c := s.cache(t)
	if f, err := pull(t, c, "hf:old/net"); err != nil || f.SHA256 != sum(content) || f.Commit != "c0ffee" {
		t.Errorf("a model that moved: %+v, %v", f, err)
	}
	if f, err := pull(t, c, "hf:timm/net@v1/sub/pytorch_model.bin"); err != nil || !strings.HasSuffix(f.Path, filepath.Join("v1", "sub", "pytorch_model.bin")) {
		t.Errorf("a file in a folder: %+v, %v", f, err)
	}
	if f, err := pull(t, c, "hf:timm/net/config.json"); err != nil || f.Bytes != 2 || f.SHA256 != sum([]byte("{}")) {
		t.Errorf("a file without a digest: %+v, %v", f, err)
	}
	if f, err := pull(t, c, s.store.URL+"/a/net.pth#sha256="+sum(content)); err != nil || filepath.Base(f.Path) != "net.pth" {
		t.Errorf("an address: %+v, %v", f, err)
	}
	for text, want := range map[string]string{
		"hf:timm/absent":      "there is no such file",
		"hf:private/net":      "it is not public",
		"hf:timm/net/none.pt": "404",
	} {
		if _, err := pull(t, c, text); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "hf:") {
			t.Errorf("%s: want %q, got %v", text, want, err)
		}
	}
}

func TestPullResumes(t *testing.T) {
	s := newSite(t)
	s.cut = 1000
	c := s.cache(t)
	ctx, cancel := context.WithCancel(context.Background())
	c.Progress = func(done, total int64, what string) {
		if done == 1000 {
			cancel()
		}
	}
	r, err := Parse("hf:timm/net")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pull(ctx, r); err != context.Canceled {
		t.Fatalf("got %v", err)
	}
	if got := leftovers(t, c); len(got) != 1 || got[0] != "."+sum(content)+".part" {
		t.Fatalf("left %q", got)
	}
	s.asked, c.Progress = nil, nil
	if f, err := pull(t, c, "hf:timm/net"); err != nil || f.SHA256 != sum(content) {
		t.Errorf("%+v, %v", f, err)
	}
	if last := s.asked[len(s.asked)-1]; last != "store GET bytes=1000-" {
		t.Errorf("asked %q", s.asked)
	}
	if got := leftovers(t, c); got != nil {
		t.Errorf("left %q", got)
	}
}

func TestPullRefusesOtherContent(t *testing.T) {
	s := newSite(t)
	s.linked = sum([]byte("other"))
	c := s.cache(t)
	if f, err := pull(t, c, "hf:timm/net"); err == nil || !strings.Contains(err.Error(), "its SHA-256 is "+sum(content)+", not "+s.linked) {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := pull(t, c, "hf:timm/net#sha256="+sum(content)); err == nil || !strings.Contains(err.Error(), "check the digest that was given") {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := pull(t, c, s.store.URL+"/net.pth#sha256="+s.linked); err == nil || !strings.Contains(err.Error(), "sent other content") {
		t.Errorf("%+v, %v", f, err)
	}
	c.Offline = true
	if f, err := pull(t, c, "hf:timm/net"); err == nil || !strings.Contains(err.Error(), "downloading is turned off") {
		t.Errorf("%+v, %v", f, err)
	}
	if got := leftovers(t, c); got != nil {
		t.Errorf("left %q", got)
	}
}

// Another server may refuse HEAD requests, and its ETag is not taken for a digest.
func TestPullFromOtherServers(t *testing.T) {
	c := newSite(t).cache(t)
	for _, h := range []http.HandlerFunc{
		func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			w.Write(content)
		},
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"`+strings.Repeat("0", 64)+`"`)
			w.Write(content)
		},
	} {
		s := httptest.NewTLSServer(h)
		defer s.Close()
		c.client = s.Client()
		if f, err := pull(t, c, s.URL+"/net.pth"); err != nil || f.SHA256 != sum(content) {
			t.Errorf("%+v, %v", f, err)
		}
	}
}

// pytorch answers for download.pytorch.org.
type pytorch struct{}

func (pytorch) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	return w.Result(), nil
}

func TestPullChecksTheDigestInPyTorchsNames(t *testing.T) {
	c := newSite(t).cache(t)
	c.client = &http.Client{Transport: pytorch{}}
	if _, err := pull(t, c, "https://download.pytorch.org/models/net-"+sum(content)[:8]+".pth"); err != nil {
		t.Error(err)
	}
	if _, err := pull(t, c, "https://download.pytorch.org/models/net-01234567.pth"); err == nil || !strings.Contains(err.Error(), "does not begin with 01234567") {
		t.Errorf("got %v", err)
	}
}

// Without a digest, https may not redirect to http.
func TestPullStaysOnHTTPS(t *testing.T) {
	s := newSite(t)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.store.URL+"/net.pth", http.StatusFound)
	}))
	defer secure.Close()
	c := s.cache(t)
	c.client = secure.Client()
	if _, err := pull(t, c, secure.URL+"/net.pth"); err == nil || !strings.Contains(err.Error(), "over http instead of https") {
		t.Errorf("got %v", err)
	}
	if _, err := pull(t, c, secure.URL+"/net.pth#sha256="+sum(content)); err != nil {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	for text, want := range map[string]Ref{
		"hf:timm/resnet18.a1_in1k":         {Owner: "timm", Name: "resnet18.a1_in1k", Revision: "main", File: "model.safetensors"},
		"hf:a/b@v1.0":                      {Owner: "a", Name: "b", Revision: "v1.0", File: "model.safetensors"},
		"hf:a/b/x/y.bin":                   {Owner: "a", Name: "b", Revision: "main", File: "x/y.bin"},
		"hf:a/b@r/x.pth#sha256=" + digest:  {Owner: "a", Name: "b", Revision: "r", File: "x.pth", SHA256: digest},
		"https://e.org/a/x.pth":            {Address: "https://e.org/a/x.pth"},
		"http://e.org/x#sha256=" + digest:  {Address: "http://e.org/x", SHA256: digest},
		"https://e.org/x?download=true&a=": {Address: "https://e.org/x?download=true&a="},
	} {
		r, err := Parse(text)
		if err != nil || r != want {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
		if again, err := Parse(r.String()); err != nil || again != want {
			t.Errorf("%s: String gives %s", text, r)
		}
	}
	for text, want := range map[string]string{
		"":                                  "neither hf: nor an address",
		"timm/resnet18":                     "neither hf: nor an address",
		"file:///etc/passwd":                "neither hf: nor an address",
		"ftp://e.org/x":                     "neither hf: nor an address",
		"hf:timm":                           "needs an owner and a name",
		"hf:../b":                           `".." cannot be a part`,
		"hf:a/..":                           `".." cannot be a part`,
		"hf:a/b@../x":                       `".." cannot be a part`,
		"hf:a/b@":                           `"" cannot be a part`,
		"hf:a/b/../../x":                    `".." cannot be a part`,
		"hf:a/b/.hidden":                    `".hidden" cannot be a part`,
		"hf:a/b/x%2fy":                      `"x%2fy" cannot be a part`,
		"hf:a/b/":                           `"" cannot be a part`,
		`hf:a/b/x\y`:                        `cannot be a part`,
		"hf:a/b?x":                          `cannot be a part`,
		"hf:a/b#sha256=12":                  "64 hexadecimal digits",
		"hf:a/b#md5=" + digest:              "64 hexadecimal digits",
		"http://e.org/x":                    "needs a digest",
		"https://u:p@e.org/x":               "user name or password",
		"https://e.org/":                    "names no file",
		"https://e.org":                     "names no file",
		"https://e.org/x/#sha256=" + digest: "names no file",
	} {
		if r, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "write hf:OWNER/NAME") {
			t.Errorf("%s: want %q, got %+v, %v", text, want, r, err)
		}
	}
}

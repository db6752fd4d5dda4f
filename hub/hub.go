// Package hub fetches model files into the user's cache folder: models on Hugging Face by
// name, and files by address.
//
// Cache.Pull returns the File that a Ref names, from the cache or downloaded; the zero Cache
// is the user's cache folder. Every file is checked against its digest where one is known,
// and ever after against the digest of its own download.
package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/residual-ml/residual/download"
	"github.com/residual-ml/residual/internal/regular"
)

// DefaultEndpoint serves the models that hf: names.
const DefaultEndpoint = "https://huggingface.co"

// The largest files that are accepted. A server that names no length is believed less:
// what it sends is only known to end when it has ended.
const (
	DefaultMaxBytes = 8 << 30 // twice the largest residual network that is published
	maxUnstated     = 2 << 30 // of weights whose length no server names
	maxConfig       = 16 << 20
)

// Cache is where fetched files lie. The zero value is the user's cache folder,
// filled from DefaultEndpoint.
type Cache struct {
	Dir      string // empty means the folder residual/models in the user's cache folder
	Endpoint string // the address before /OWNER/NAME; empty means DefaultEndpoint
	Offline  bool   // never download
	Refresh  bool   // ask again for what is there, as a branch moves on
	MaxBytes int64  // the largest file of weights that is accepted; 0 means DefaultMaxBytes

	// Progress, when set, hears of a download: bytes done, their total (0 when it is
	// not known) and the file's name.
	Progress func(done, total int64, what string)

	client  *http.Client        // for tests; nil means one of its own
	patient download.Downloader // for tests; its zero value is the usual patience
}

// File is a file of the cache.
type File struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Commit string `json:"commit,omitempty"` // of the repository, where the server said it
	Source string `json:"source"`           // the address it came from
	Cached bool   `json:"cached"`           // it was there already
}

// Pull returns the file that a reference names: from the cache when it lies there
// undamaged, else downloaded. A file whose digest is known, because the reference
// or the server says it, is kept only when it has it.
func (c Cache) Pull(ctx context.Context, r Ref) (File, error) {
	f, err := c.pull(ctx, r)
	switch {
	case err != nil && ctx.Err() != nil:
		return File{}, ctx.Err()
	case err != nil:
		return File{}, fmt.Errorf("%s: %w", r, err)
	}
	return f, nil
}

func (c Cache) pull(ctx context.Context, r Ref) (File, error) {
	path, err := c.path(r)
	if err != nil {
		return File{}, err
	}
	if !c.Refresh || c.Offline {
		if f, ok, err := lookUp(ctx, path, r.SHA256); ok || err != nil {
			return f, err
		}
	}
	if c.Offline {
		return File{}, fmt.Errorf("it is not in %s, or damaged, and downloading is turned off", filepath.Dir(path))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return File{}, fmt.Errorf("%w; name a folder that can be written", err)
	}
	if c.client == nil {
		c.client = download.NewClient()
		defer c.client.CloseIdleConnections()
	}
	f, err := c.fetch(ctx, r, path)
	if err != nil {
		return File{}, fmt.Errorf("cannot download it to %s: %w", filepath.Dir(path), err)
	}
	return f, writeNote(path, f)
}

// path is where the file of a reference lies in the cache.
func (c Cache) path(r Ref) (string, error) {
	dir := c.Dir
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no user cache folder (%w); name a folder for it", err)
		}
		dir = filepath.Join(cache, "residual", "models")
	}
	if r.Address != "" {
		address, name := r.Address, r.Base()
		if r.beside != "" {
			address, name = r.beside, filepath.FromSlash(r.name)
		}
		sum := sha256.Sum256([]byte(address))
		return filepath.Join(dir, "url", hex.EncodeToString(sum[:8]), name), nil
	}
	return filepath.Join(dir, "hf", r.Owner, r.Name, r.Revision, filepath.FromSlash(r.File)), nil
}

// remote is what a server says of a file before it is fetched.
type remote struct {
	sha256, commit string
	linked         bool  // the digest is Hugging Face's word for a large file
	size           int64 // 0 where it is not said
}

// fetch downloads the file to path.
func (c Cache) fetch(ctx context.Context, r Ref, path string) (File, error) {
	f := File{Path: path, Source: r.Address}
	if r.Address == "" {
		f.Source = c.address(r)
	}
	said, err := c.askPatiently(ctx, f.Source)
	if r.Address != "" {
		// Elsewhere an ETag need be no digest, and a server that does not like to be
		// asked may still give.
		if !said.linked {
			said.sha256 = ""
		}
		if errors.As(err, &download.Permanent{}) {
			err = nil
		}
	}
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", f.Source, err)
	}
	want := r.SHA256
	switch {
	case want == "":
		want = said.sha256
	case said.sha256 != "" && said.sha256 != want:
		return File{}, fmt.Errorf("the server has content of SHA-256 %s; check the digest that was given", said.sha256)
	}
	f.Commit = said.commit
	d := download.File{Path: path, MaxBytes: c.maxBytes(r, said), Verify: func(ctx context.Context, file *os.File) error {
		var err error
		if f.SHA256, f.Bytes, err = digest(ctx, file); err != nil {
			return err
		}
		if said.size > 0 && f.Bytes != said.size {
			return fmt.Errorf("sent %d bytes of %d", f.Bytes, said.size)
		}
		if want != "" && f.SHA256 != want {
			return download.NewPermanent(fmt.Errorf("sent other content: its SHA-256 is %s, not %s", f.SHA256, want))
		}
		if begin := r.digestInName(); !strings.HasPrefix(f.SHA256, begin) {
			return download.NewPermanent(fmt.Errorf("sent other content: its SHA-256 %s does not begin with %s, as its name says", f.SHA256, begin))
		}
		return nil
	}}
	if want != "" {
		d.Part = filepath.Join(filepath.Dir(path), "."+want+".part")
	}
	if c.Progress != nil {
		d.Progress = func(done, total int64) { c.Progress(done, total, r.Base()) }
	}
	client := *c.client
	client.CheckRedirect = func(to *http.Request, via []*http.Request) error {
		if want == "" && via[0].URL.Scheme == "https" && to.URL.Scheme != "https" {
			return fmt.Errorf("redirects to %s without the s of https, and no digest is known", to.URL.Host)
		}
		if len(via) >= 10 {
			return errors.New("redirects without end")
		}
		return nil
	}
	if said.size > d.MaxBytes {
		return File{}, fmt.Errorf("%s: %w", f.Source, &download.TooLargeError{Offered: said.size, Max: d.MaxBytes})
	}
	p := c.patient
	p.Client = &client
	err = p.Get(ctx, []string{f.Source}, d)
	return f, err
}

// maxBytes is the largest size of a file: the one that the server states, where that is
// no more than a file of this kind may have.
func (c Cache) maxBytes(r Ref, said remote) int64 {
	limit := c.MaxBytes
	switch {
	case path.Ext(r.Base()) == ".json":
		return maxConfig
	case limit == 0 && said.size == 0:
		return maxUnstated
	case limit == 0:
		limit = DefaultMaxBytes
	}
	if said.size > 0 && said.size < limit {
		return said.size
	}
	return limit
}

// address is Hugging Face's for the content of a file
// (https://huggingface.co/docs/huggingface_hub/package_reference/file_download).
func (c Cache) address(r Ref) string {
	endpoint := c.Endpoint
	if endpoint == "" {
		endpoint = DefaultEndpoint
	}
	return strings.TrimSuffix(endpoint, "/") + "/" + r.Owner + "/" + r.Name + "/resolve/" + r.Revision + "/" + r.File
}

// askPatiently asks again when a server has no answer just now.
func (c Cache) askPatiently(ctx context.Context, address string) (said remote, err error) {
	wait := c.patient.Backoff
	if wait == 0 {
		wait = time.Second
	}
	for range 3 {
		if said, err = c.ask(ctx, address); err == nil || ctx.Err() != nil || errors.As(err, &download.Permanent{}) {
			return said, err
		}
		select {
		case <-ctx.Done():
			return remote{}, ctx.Err()
		case <-time.After(wait):
		}
		wait *= 2
	}
	return said, err
}

// ask reads the headers of a file. A large one of Hugging Face is a redirection to
// another host, whose headers no longer say the digest: redirections are followed
// only within a host.
func (c Cache) ask(ctx context.Context, address string) (remote, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return remote{}, err
	}
	client := *c.client
	client.CheckRedirect = func(to *http.Request, via []*http.Request) error {
		if to.URL.Host != req.URL.Host || len(via) >= 10 {
			return http.ErrUseLastResponse
		}
		return nil
	}
	resp, err := client.Do(req)
	if err != nil {
		return remote{}, fmt.Errorf("%w; check the connection", download.Cause(ctx, err))
	}
	resp.Body.Close()
	if resp.StatusCode >= 400 {
		return remote{}, explain(resp)
	}
	said := remote{commit: resp.Header.Get("X-Repo-Commit")}
	etag := resp.Header.Get("X-Linked-Etag")
	if said.linked = etag != ""; !said.linked {
		etag = resp.Header.Get("ETag")
	}
	if etag = strings.ToLower(strings.Trim(strings.TrimPrefix(etag, "W/"), `"`)); isSHA256(etag) {
		said.sha256 = etag
	}
	if n, err := strconv.ParseInt(resp.Header.Get("X-Linked-Size"), 10, 64); err == nil && n > 0 {
		said.size = n
	} else if resp.StatusCode == http.StatusOK && resp.ContentLength > 0 {
		said.size = resp.ContentLength
	}
	return said, nil
}

// ErrAbsent is a server's word that it has no such file.
var ErrAbsent = errors.New("there is no such file")

// Configs are the files of a repository that say what its weights do not: how images
// are prepared, and what classes are called.
var Configs = []string{"config.json", "preprocessor_config.json"}

// PullConfigs returns those of Configs that lie beside a model's file, which the cache
// keeps beside it too, as package exchange looks for them. One that is not there is
// left out; all is well without them, so what else kept one away is in problems. Where
// the model's file was in the cache already nobody is asked anew.
func (c Cache) PullConfigs(ctx context.Context, model Ref, f File) (files []File, problems []error) {
	if model.Address != "" {
		return nil, nil
	}
	c.Offline, c.Progress = c.Offline || f.Cached, nil
	for _, name := range Configs {
		r := model
		r.File, r.SHA256 = path.Join(path.Dir(model.File), name), ""
		file, err := c.Pull(ctx, r)
		switch {
		case err == nil:
			files = append(files, file)
		case errors.Is(err, ErrAbsent): // an older one says nothing of these weights
			if old, err := c.path(r); err == nil {
				os.Remove(old)
				os.Remove(notePath(old))
			}
		case !c.Offline:
			problems = append(problems, err)
		}
	}
	return files, problems
}

// PullBeside returns the files that a model's file names as lying beside it, such as
// those of an ONNX file's weights. The cache keeps them beside it too. The error says
// which cannot be had, and where it belongs.
func (c Cache) PullBeside(ctx context.Context, model Ref, f File, names []string) (files []File, err error) {
	for _, name := range names {
		r, err := model.Beside(name)
		var file File
		if err == nil {
			file, err = c.Pull(ctx, r)
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, fmt.Errorf("%s has weights in %q, which belongs beside %s: %w", model, name, f.Path, err)
		}
		files = append(files, file)
	}
	return files, nil
}

// explain says what to do about a refusal.
func explain(resp *http.Response) error {
	err := download.StatusError(resp)
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: there is no such model, or it is not public; check the name, or download the file in a browser", err)
	case http.StatusNotFound:
		return fmt.Errorf("%w: %w; check the owner, the name, the revision and the file", err, ErrAbsent)
	}
	return err
}

// notePath is where the cache remembers, beside a file, where it came from.
func notePath(path string) string { return path + noteEnding }

const noteEnding = ".source.json"

func writeNote(path string, f File) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".note.*.part")
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(text, '\n'))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), notePath(path))
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// lookUp returns a file of the cache when it has the digest wanted, or with none
// wanted the one it had when it was fetched.
func lookUp(ctx context.Context, path, want string) (File, bool, error) {
	text, err := regular.ReadFile(notePath(path), 1<<20)
	if err != nil {
		return File{}, false, nil
	}
	var f File
	if json.Unmarshal(text, &f) != nil || !isSHA256(f.SHA256) {
		return File{}, false, nil
	}
	if want == "" {
		want = f.SHA256
	}
	file, err := regular.Open(path)
	if err != nil {
		return File{}, false, nil
	}
	defer file.Close()
	f.SHA256, f.Bytes, err = digest(ctx, file)
	if err != nil {
		return File{}, false, fmt.Errorf("%w; remove %s", err, path)
	}
	f.Path, f.Cached = path, true
	return f, f.SHA256 == want, nil
}

// digest reads a file to its end.
func digest(ctx context.Context, r io.Reader) (sum string, n int64, err error) {
	h := sha256.New()
	buf := make([]byte, 1<<18)
	for {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		k, err := r.Read(buf)
		h.Write(buf[:k])
		n += int64(k)
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), n, nil
		}
		if err != nil {
			return "", 0, err
		}
	}
}

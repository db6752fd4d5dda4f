// Package hub downloads model files into a cache folder: files of models on Hugging Face by
// their name, and other files by their address.
//
//	ref, err := hub.Parse("hf:timm/resnet18.a1_in1k")
//	// ...
//	file, ref, err := hub.Cache{}.PullWeights(ctx, ref)
//
// A Ref names a file. Cache.Pull returns it as a File, from the cache or downloaded; the
// zero Cache is the user's cache folder. If the digest of a file is known, the download is
// checked against it. A cached file is checked against the digest of its own download
// whenever it is used.
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

// DefaultEndpoint is the server of the models named by hf:.
const DefaultEndpoint = "https://huggingface.co"

// The largest files that are accepted. The limit is lower if the server does not state a
// length, since it might never stop sending.
const (
	DefaultMaxBytes = 8 << 30 // twice the size of the largest published residual network
	maxUnstated     = 2 << 30 // for weights of unknown length
	maxConfig       = 16 << 20
)

// Cache is a folder of downloaded files. The zero value is the user's cache folder with
// downloads from DefaultEndpoint.
type Cache struct {
	Dir      string // empty means the folder residual/models in the user's cache folder
	Endpoint string // the address before /OWNER/NAME; empty means DefaultEndpoint
	Offline  bool   // never download
	Refresh  bool   // download again even if the file is cached, since a branch may have changed
	MaxBytes int64  // largest file of weights that is accepted; 0 means DefaultMaxBytes

	// Progress, if set, is called during a download with the bytes that have arrived, the
	// total (0 if it is not known) and the file's name.
	Progress func(done, total int64, what string)

	client     *http.Client        // for tests; nil means a new one
	downloader download.Downloader // for tests; the zero value has the usual time limits
}

// File is a file in the cache.
type File struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Commit string `json:"commit,omitempty"` // commit of the repository, if the server names it
	Source string `json:"source"`           // the address it came from
	Cached bool   `json:"cached"`           // it was in the cache already
}

// Pull returns the file that r names. It downloads the file unless the cache has an
// undamaged copy. If r or the server gives a digest, the content must match it.
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

// pull is Pull without the reference in errors.
func (c Cache) pull(ctx context.Context, r Ref) (File, error) {
	path, err := c.path(r)
	if err != nil {
		return File{}, err
	}
	if !c.Refresh || c.Offline {
		if f, ok, err := cachedFile(ctx, path, r.SHA256); ok || err != nil {
			return f, err
		}
	}
	if c.Offline {
		return File{}, fmt.Errorf("it is missing from %s, or damaged, and downloading is turned off", filepath.Dir(path))
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

// path returns the path of a file in the cache.
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

// remote is what a server says about a file before it is downloaded.
type remote struct {
	sha256, commit string
	linked         bool  // the digest comes from Hugging Face's header for large files
	size           int64 // 0 if it is not known
}

// fetch downloads the file to path.
func (c Cache) fetch(ctx context.Context, r Ref, path string) (File, error) {
	f := File{Path: path, Source: r.Address}
	if r.Address == "" {
		f.Source = c.address(r)
	}
	said, err := c.headWithRetries(ctx, f.Source)
	if r.Address != "" {
		// On other servers an ETag need not be a digest. A server that refuses HEAD requests
		// may still answer the download.
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
		return File{}, fmt.Errorf("the server's content has the SHA-256 %s; check the digest that was given", said.sha256)
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
			return fmt.Errorf("redirects to %s over http instead of https, and no digest is known", to.URL.Host)
		}
		if len(via) >= 10 {
			return errors.New("redirects more than ten times")
		}
		return nil
	}
	if said.size > d.MaxBytes {
		return File{}, fmt.Errorf("%s: %w", f.Source, &download.TooLargeError{Offered: said.size, Max: d.MaxBytes})
	}
	p := c.downloader
	p.Client = &client
	err = p.Get(ctx, []string{f.Source}, d)
	return f, err
}

// maxBytes returns the largest size that is accepted for a file: the size that the server
// states, if that is within the limit for this kind of file, or else the limit.
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

// address returns Hugging Face's address of a file's content
// (https://huggingface.co/docs/huggingface_hub/package_reference/file_download).
func (c Cache) address(r Ref) string {
	endpoint := c.Endpoint
	if endpoint == "" {
		endpoint = DefaultEndpoint
	}
	return strings.TrimSuffix(endpoint, "/") + "/" + r.Owner + "/" + r.Name + "/resolve/" + r.Revision + "/" + r.File
}

// headWithRetries is head with up to three tries, unless the error is permanent.
func (c Cache) headWithRetries(ctx context.Context, address string) (said remote, err error) {
	wait := c.downloader.Backoff
	if wait == 0 {
		wait = time.Second
	}
	for range 3 {
		if said, err = c.head(ctx, address); err == nil || ctx.Err() != nil || errors.As(err, &download.Permanent{}) {
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

// head reads the headers of a file with a HEAD request. For a large file, Hugging Face
// redirects to another host, whose headers no longer contain the digest. So redirections are
// followed only within one host.
func (c Cache) head(ctx context.Context, address string) (remote, error) {
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

// ErrAbsent is the error of a file that the server does not have.
var ErrAbsent = errors.New("there is no such file")

// Configs lists the files of a repository that describe its weights: the preparation of
// images and the names of the classes.
var Configs = []string{"config.json", "preprocessor_config.json"}

// PullConfigs returns the files among Configs that lie beside a model's file, where package
// exchange looks for them; the cache keeps them beside it too. Missing ones are left out.
// The weights are usable without them, so other errors are returned as problems. If the
// model's file was cached already, PullConfigs does not ask the server.
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
		case errors.Is(err, ErrAbsent): // a cached one belongs to older weights
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

// PullBeside returns the files that a model's file refers to by names relative to it, such as
// the external weights of an ONNX file. The cache keeps them beside it too. The error says
// which file is missing and where it belongs.
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

// explain returns the error of a response, with what to do about it.
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

// notePath returns the path of the note beside a cached file, which holds its source and digest.
func notePath(path string) string { return path + noteEnding }

const noteEnding = ".source.json"

// writeNote writes the note for a cached file.
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

// cachedFile returns a cached file if it has the digest want, or else, if want is empty, the
// digest that it had when it was downloaded.
func cachedFile(ctx context.Context, path, want string) (File, bool, error) {
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

// digest reads a file to its end and returns its SHA-256 and size.
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

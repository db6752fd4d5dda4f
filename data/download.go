package data

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The patience of a download.
const (
	downloadRounds = 3                // times every mirror is asked
	firstBackoff   = time.Second      // before the second round, doubled before each next one
	stallLimit     = 30 * time.Second // without a byte, a mirror is given up
)

// errUseless marks a mirror that will not do better when asked again.
type errUseless struct{ error }

// downloader fetches files with patience. The zero value has the patience above.
type downloader struct {
	client  *http.Client
	backoff time.Duration
	stall   time.Duration
}

// fetch downloads every file that is missing or damaged and returns the folder.
func (s idxSet) fetch(ctx context.Context, o Options) (string, error) {
	dir, err := s.fetchFolder(o)
	if err != nil {
		return "", err
	}
	for _, f := range s.files {
		if s.good(ctx, dir, f) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if o.Offline {
			return "", fmt.Errorf("%s: %s.gz is missing or damaged in %s and downloading is turned off", s.name, f.name, dir)
		}
		if _, err := s.download(ctx, o, dir, f); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// fetchFolder chooses where downloads go: the first folder of the search order,
// in it a folder of the set's own unless the files lie there directly.
func (s idxSet) fetchFolder(o Options) (string, error) {
	root := o.Dir
	if root == "" {
		root = os.Getenv("RESIDUAL_DATA")
	}
	if root == "" {
		return s.cacheFolder()
	}
	for _, f := range s.files {
		for _, name := range []string{f.name, f.name + ".gz"} {
			if _, err := os.Stat(filepath.Join(root, name)); err == nil {
				return root, nil
			}
		}
	}
	return filepath.Join(root, s.name), nil
}

// good tells whether dir holds the file as published. A damaged plain file would
// hide the compressed one that a download brings, so it counts as damaged.
func (s idxSet) good(ctx context.Context, dir string, f idxFile) bool {
	for _, name := range []string{f.name, f.name + ".gz"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			_, err := s.load(ctx, path, f)
			return err == nil
		}
	}
	return false
}

// download puts name.gz into dir, whole and verified or not at all.
func (s idxSet) download(ctx context.Context, o Options, dir string, f idxFile) (string, error) {
	mirrors := o.Mirrors
	if mirrors == nil {
		mirrors = s.mirrors
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("%s: %w; name a folder that can be written with --data-dir", s.name, err)
	}
	path := filepath.Join(dir, f.name+".gz")
	if err := (downloader{}).file(ctx, path, f, mirrors, o.Progress); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("%s: cannot download %s.gz to %s: %w; put the file there yourself, name its folder with --data-dir, or use --data garments",
			s.name, f.name, dir, err)
	}
	// A plain file of the same name would be found first; it was damaged, or there
	// would have been no download.
	if err := os.Remove(filepath.Join(dir, f.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s: %w; remove that damaged file, %s is good", s.name, err, path)
	}
	return path, nil
}

// file asks the mirrors in turn, several rounds long, until one gives the right
// content. A mirror that does not have it is not asked again.
func (d downloader) file(ctx context.Context, path string, f idxFile, mirrors []string, progress func(int64, int64, string)) error {
	if d.client == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DisableCompression = true // the .gz is wanted as it is stored
		t.ResponseHeaderTimeout = stallLimit
		d.client = &http.Client{Transport: t}
		defer t.CloseIdleConnections()
	}
	wait := d.backoff
	if wait == 0 {
		wait = firstBackoff
	}
	if d.stall == 0 {
		d.stall = stallLimit
	}
	failed := make([]error, len(mirrors))
	for round := range downloadRounds {
		if round > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(wait):
			}
			wait *= 2
		}
		hope := false
		for i, m := range mirrors {
			if errors.As(failed[i], &errUseless{}) {
				continue
			}
			address := strings.TrimSuffix(m, "/") + "/" + f.name + ".gz"
			failed[i] = d.try(ctx, address, path, f, progress)
			if failed[i] == nil || ctx.Err() != nil {
				return failed[i]
			}
			var local *os.PathError
			if errors.As(failed[i], &local) { // a full or read-only disk is nobody's mirror
				return failed[i]
			}
			hope = hope || !errors.As(failed[i], &errUseless{})
		}
		if !hope {
			break
		}
	}
	var why []string
	for i, m := range mirrors {
		why = append(why, fmt.Sprintf("%s: %v", m, failed[i]))
	}
	if len(why) == 0 {
		return errors.New("no mirror is known")
	}
	return errors.New(strings.Join(why, "; "))
}

// try downloads from one address into a file beside path, verifies it, and only
// then gives it its name.
func (d downloader) try(ctx context.Context, address, path string, f idxFile, progress func(int64, int64, string)) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return err
	}
	defer func() {
		tmp.Close()
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	if err := d.body(ctx, address, tmp, f, progress); err != nil {
		return err
	}
	if err := verify(ctx, tmp, f); err != nil {
		return err
	}
	if err := tmp.Chmod(0o644); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// body copies an answer into w. It ends early when the context does, when nothing
// arrives for a while, or when more arrives than the file can need.
func (d downloader) body(ctx context.Context, address string, w io.Writer, f idxFile, progress func(int64, int64, string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(d.stall, func() { cancel(fmt.Errorf("nothing arrived for %v", d.stall)) })
	defer stalled.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errUseless{err}
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return cause(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		err := fmt.Errorf("answered %s", resp.Status)
		if resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests {
			return errUseless{err}
		}
		return err
	}
	// Compressed, no file is larger than its content and a little.
	most := f.contentSize() + 1<<16
	if resp.ContentLength > most {
		return errUseless{fmt.Errorf("offers %d bytes, at most %d are plausible", resp.ContentLength, most)}
	}
	var done int64
	buf := make([]byte, 1<<16)
	for {
		n, err := resp.Body.Read(buf)
		stalled.Reset(d.stall)
		if done += int64(n); done > most {
			return errUseless{fmt.Errorf("sent more than %d bytes, which is not plausible", most)}
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if progress != nil && n > 0 {
			progress(done, max(resp.ContentLength, 0), f.name+".gz")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("stopped after %d bytes: %w", done, cause(ctx, err))
		}
	}
}

// cause prefers the reason a context was cancelled for to the error that followed,
// and leaves out the address, which the caller names.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// verify reads a downloaded file back and compares its content's digest. A damaged
// file may come whole the next time; a whole file of other content will not change.
func verify(ctx context.Context, file *os.File, f idxFile) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r, err := newContentReader(ctx, file)
	if err != nil {
		return fmt.Errorf("sent a file that %w", err)
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(r, f.contentSize()+1)); err != nil {
		return fmt.Errorf("sent a damaged file: %w", err)
	}
	if got := hex.EncodeToString(r.digest.Sum(nil)); got != f.md5 {
		return errUseless{fmt.Errorf("sent other content: MD5 of the uncompressed content %s, not %s", got, f.md5)}
	}
	return nil
}

// syncFolder makes a rename durable where the system lets a folder be synced.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

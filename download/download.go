// Package download fetches files over HTTP with patience: from several addresses,
// in several rounds, going on where an answer broke off. A file appears under its
// name whole and verified or not at all.
package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	rounds       = 3                // times every address is asked
	firstBackoff = time.Second      // before the second round, doubled before each next one
	stallLimit   = 30 * time.Second // without a byte, an address is given up
)

// Useless marks an error of an address that will not do better when asked again.
type Useless struct{ error }

// Unwrap returns the error that was marked.
func (u Useless) Unwrap() error { return u.error }

// NewUseless marks an error.
func NewUseless(err error) error { return Useless{err} }

// Downloader fetches files. The zero value has the patience above.
type Downloader struct {
	Client  *http.Client // nil means one of its own, which takes files as they are stored
	Backoff time.Duration
	Stall   time.Duration
}

// File is what is wanted of a download.
type File struct {
	Path string // where it shall lie; the folder exists

	// Part, when set, is where an interrupted download stays, and from where the
	// next one goes on. Its name must tell one content from another. Where it is
	// empty a download goes on only within one Get.
	Part string

	Most int64 // bytes beyond which an answer is implausible; 0 means any number is plausible

	// Verify, when set, reads the file back before it gets its name. An error that
	// is no Useless says that the file may come whole the next time.
	Verify func(ctx context.Context, f *os.File) error

	// Progress, when set, hears the bytes done and their total, 0 where it is not known.
	Progress func(done, total int64)
}

// NewClient returns a client that takes files as they are stored and does not wait
// for an answer for ever. The caller closes its idle connections.
func NewClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true // a .gz is wanted as it is stored
	t.ResponseHeaderTimeout = stallLimit
	return &http.Client{Transport: t}
}

// Get asks the addresses in turn, several rounds long, until one gives the right
// content. One that does not have it is not asked again. The error tells what each
// of them answered, in one line.
func (d Downloader) Get(ctx context.Context, addresses []string, f File) error {
	if d.Client == nil {
		d.Client = NewClient()
		defer d.Client.CloseIdleConnections()
	}
	if d.Stall == 0 {
		d.Stall = stallLimit
	}
	wait := d.Backoff
	if wait == 0 {
		wait = firstBackoff
	}
	part, err := openPart(f)
	if err != nil {
		return err
	}
	defer part.close()
	failed := make([]error, len(addresses))
	for round := range rounds {
		if round > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(wait):
			}
			wait *= 2
		}
		hope := false
		for i, address := range addresses {
			if errors.As(failed[i], &Useless{}) {
				continue
			}
			failed[i] = d.try(ctx, address, part, f)
			if failed[i] == nil || ctx.Err() != nil {
				return failed[i]
			}
			var local *os.PathError
			if errors.As(failed[i], &local) { // a full or read-only disk is no address's fault
				return failed[i]
			}
			hope = hope || !errors.As(failed[i], &Useless{})
		}
		if !hope {
			break
		}
	}
	var why []string
	for i, address := range addresses {
		why = append(why, fmt.Sprintf("%s: %v", address, failed[i]))
	}
	if len(why) == 0 {
		return errors.New("no mirror is known")
	}
	return errors.New(strings.Join(why, "; "))
}

// part is the file that a download grows in.
type part struct {
	*os.File
	keep bool   // when it is not finished
	done int64  // bytes that are there
	from string // the address they came from in this Get
	etag string // the server's name of the content
}

func openPart(f File) (*part, error) {
	if f.Part == "" {
		tmp, err := os.CreateTemp(filepath.Dir(f.Path), "."+filepath.Base(f.Path)+".*.part")
		if err != nil {
			return nil, err
		}
		return &part{File: tmp}, nil
	}
	file, err := os.OpenFile(f.Part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &part{File: file, keep: true, done: info.Size()}, nil
}

// close removes what is of no further use. After finish there is nothing to do.
func (p *part) close() {
	if p.File == nil {
		return
	}
	p.Close()
	if !p.keep || p.done == 0 {
		os.Remove(p.Name())
	}
}

// restart forgets what is there.
func (p *part) restart() error {
	p.done, p.from, p.etag = 0, "", ""
	return p.Truncate(0)
}

// finish gives the file its name.
func (p *part) finish(path string) error {
	if err := p.Chmod(0o644); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if err := p.Sync(); err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return err
	}
	name := p.Name()
	p.File = nil
	if err := os.Rename(name, path); err != nil {
		// Another program that fetched the same file was first to name it.
		if _, there := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || there != nil {
			os.Remove(name)
			return err
		}
	}
	return syncFolder(filepath.Dir(path))
}

// try downloads from one address, verifies, and gives the file its name.
func (d Downloader) try(ctx context.Context, address string, p *part, f File) error {
	// A part that this Get began holds the content of its address; whether another
	// has the same is not known before the end, and without a digest or a name of
	// the content not even whether the same one still has it.
	if f.Part == "" && (p.from != address || f.Verify == nil && p.etag == "") {
		if err := p.restart(); err != nil {
			return err
		}
	}
	resumed := p.done > 0
	p.from = address
	if err := d.body(ctx, address, p, f); err != nil {
		return err
	}
	if f.Verify != nil {
		if _, err := p.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := f.Verify(ctx, p.File); err != nil {
			if again := p.restart(); again != nil {
				return again
			}
			if resumed && errors.As(err, &Useless{}) { // the fault may lie in what was there before
				return fmt.Errorf("%v", err)
			}
			return err
		}
	}
	return p.finish(f.Path)
}

// body adds an answer to the part. It ends early when the context does, when nothing
// arrives for a while, or when more arrives than the file can need.
func (d Downloader) body(ctx context.Context, address string, p *part, f File) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(d.Stall, func() { cancel(fmt.Errorf("nothing arrived for %v", d.Stall)) })
	defer stalled.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return NewUseless(err)
	}
	if p.done > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", p.done))
		if p.etag != "" {
			req.Header.Set("If-Range", p.etag)
		}
	}
	resp, err := d.Client.Do(req)
	if err != nil {
		return Cause(ctx, err)
	}
	defer resp.Body.Close()
	total, err := p.begin(resp)
	if err != nil {
		return err
	}
	if p.etag = resp.Header.Get("ETag"); strings.HasPrefix(p.etag, "W/") {
		p.etag = "" // the same for contents that only mean the same
	}
	if f.Most > 0 && total > f.Most {
		return NewUseless(fmt.Errorf("offers %d bytes, at most %d are plausible", total, f.Most))
	}
	if total > 0 && p.done == total {
		return nil
	}
	buf := make([]byte, 1<<16)
	for {
		n, err := resp.Body.Read(buf)
		stalled.Reset(d.Stall)
		if f.Most > 0 && p.done+int64(n) > f.Most {
			if err := p.restart(); err != nil {
				return err
			}
			return NewUseless(fmt.Errorf("sent more than %d bytes, which is not plausible", f.Most))
		}
		if _, err := p.WriteAt(buf[:n], p.done); err != nil {
			return err
		}
		p.done += int64(n)
		if f.Progress != nil && n > 0 {
			f.Progress(p.done, max(total, 0))
		}
		if err == io.EOF {
			if total > 0 && p.done != total {
				return fmt.Errorf("stopped after %d bytes of %d", p.done, total)
			}
			return p.Truncate(p.done)
		}
		if err != nil {
			return fmt.Errorf("stopped after %d bytes: %w", p.done, Cause(ctx, err))
		}
	}
}

// begin reads an answer's status: whether it goes on where the part ends, and how
// long the file is, -1 where that is not said.
func (p *part) begin(resp *http.Response) (total int64, err error) {
	switch resp.StatusCode {
	case http.StatusOK:
		p.done = 0 // whatever was asked for, the file comes from its start
		return resp.ContentLength, nil
	case http.StatusPartialContent:
		var first, last int64
		_, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total)
		if err == nil && p.done > 0 && first == p.done && last == total-1 {
			return total, nil
		}
		err = fmt.Errorf("answered with the part %q where bytes from %d were asked for", resp.Header.Get("Content-Range"), p.done)
		if again := p.restart(); again != nil {
			return 0, again
		}
		return 0, err
	case http.StatusRequestedRangeNotSatisfiable: // all is there already, or it is another file
		had := p.done
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes */%d", &total); err == nil && total == had && had > 0 {
			return total, nil
		}
		if err := p.restart(); err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("has no bytes behind the %d that were there; they are fetched anew", had)
	}
	return 0, StatusError(resp)
}

// StatusError describes an answer that is no success; a Useless where asking again
// is of no use.
func StatusError(resp *http.Response) error {
	err := fmt.Errorf("answered %s", resp.Status)
	if resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout {
		return NewUseless(err)
	}
	return err
}

// Cause prefers the reason a context was cancelled for to the error that followed,
// and leaves out the address, which the caller names.
func Cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
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

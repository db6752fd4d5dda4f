// Package download fetches files over HTTP: from several addresses, in several rounds, and
// resumes where an answer broke off.
//
// Downloader.Get fetches a File; the zero Downloader has sensible limits. Every download
// ends: a file has a largest size, and a server that sends nothing, or sends too slowly, is
// given up. A file appears under its name complete and verified or not at all; what an
// unfinished download wrote is resumed by the next one or removed. An error that would come
// again is marked as Permanent.
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
	"sync/atomic"
	"time"
)

// The limits of a download.
const (
	rounds        = 3                // times every address is asked
	firstBackoff  = time.Second      // before the second round, doubled before each next one
	stallLimit    = 30 * time.Second // an address that sends too little in this time is given up
	minRate       = 1 << 10          // bytes a second; a slower server needs twelve days for a gigabyte
	abandonedPart = time.Hour        // after which an unfinished file of a process that was killed is removed

	// DefaultMaxBytes is the largest file that is taken where File.MaxBytes is 0.
	DefaultMaxBytes = 1 << 30
)

// Permanent marks an error of an address that will not go away when it is asked again.
type Permanent struct{ error }

// Unwrap returns the error that was marked.
func (p Permanent) Unwrap() error { return p.error }

// NewPermanent marks an error as permanent.
func NewPermanent(err error) error { return Permanent{err} }

// TooLargeError reports a file that is larger than the download may be. It is always
// marked as permanent.
type TooLargeError struct {
	Offered int64 // bytes that the server offers; 0 where it names no length and kept sending
	Max     int64 // bytes that are accepted
}

func (e *TooLargeError) Error() string {
	if e.Offered > 0 {
		return fmt.Sprintf("offers %d bytes where at most %d are accepted", e.Offered, e.Max)
	}
	return fmt.Sprintf("kept sending after %d bytes, the most that is accepted", e.Max)
}

// Downloader fetches files. The zero value has the limits above.
type Downloader struct {
	Client  *http.Client  // nil means a client of its own, which takes files as they are stored
	Backoff time.Duration // before the second round
	Stall   time.Duration // an address that sends less than MinRate over this time is given up
	MinRate int64         // bytes a second, averaged over Stall
}

// File describes a download.
type File struct {
	Path string // where it shall lie; the folder exists

	// Part, when set, is where an interrupted download stays, and from where the
	// next one goes on. Its name must tell one content from another. Where it is
	// empty a download goes on only within one Get.
	Part string

	MaxBytes int64 // the largest file that is accepted; 0 means DefaultMaxBytes

	// Verify, when set, reads the file back before it gets its name. An error that
	// is not Permanent says that the file may come whole the next time.
	Verify func(ctx context.Context, f *os.File) error

	// Progress, when set, hears the bytes done and their total, 0 where it is not known.
	Progress func(done, total int64)
}

// NewClient returns a client that takes files as they are stored and waits for an
// answer for a limited time. The caller closes its idle connections.
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
	if d.MinRate == 0 {
		d.MinRate = minRate
	}
	if f.MaxBytes == 0 {
		f.MaxBytes = DefaultMaxBytes
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
			if errors.As(failed[i], &Permanent{}) {
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
			hope = hope || !errors.As(failed[i], &Permanent{})
		}
		if !hope {
			break
		}
	}
	if len(addresses) == 0 {
		return errors.New("no mirror is known")
	}
	for i, address := range addresses {
		failed[i] = fmt.Errorf("%s: %w", address, failed[i])
	}
	return &failedError{failed}
}

// failedError holds what each address answered.
type failedError struct{ answers []error }

func (e *failedError) Error() string {
	var lines []string
	for _, err := range e.answers {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "; ")
}

func (e *failedError) Unwrap() []error { return e.answers }

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
		removeAbandoned(f.Path)
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
	p := &part{File: file, keep: true, done: info.Size()}
	if p.done > f.MaxBytes { // it cannot be the beginning of this file
		if err := p.restart(); err != nil {
			file.Close()
			return nil, err
		}
	}
	return p, nil
}

// removeAbandoned removes the unfinished files of processes that were killed while they
// downloaded path. A download that is under way writes to its file more often.
func removeAbandoned(path string) {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "."+filepath.Base(path)+".") || !strings.HasSuffix(e.Name(), ".part") {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > abandonedPart {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
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
			if resumed && errors.As(err, &Permanent{}) { // the fault may lie in what was there before
				return fmt.Errorf("%v", err)
			}
			return err
		}
	}
	return p.finish(f.Path)
}

// watch cancels an answer of which less than MinRate arrives over a time of Stall. It
// returns what counts the bytes.
func (d Downloader) watch(ctx context.Context, cancel context.CancelCauseFunc) *atomic.Int64 {
	arrived := new(atomic.Int64)
	go func() {
		tick := time.NewTicker(d.Stall)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			switch n := arrived.Swap(0); {
			case n == 0:
				cancel(fmt.Errorf("nothing arrived for %v", d.Stall))
			case float64(n) < float64(d.MinRate)*d.Stall.Seconds():
				cancel(fmt.Errorf("only %d bytes arrived in %v; try again on a faster connection, or fetch the file in another way", n, d.Stall))
			}
		}
	}()
	return arrived
}

// body adds an answer to the part. It ends early when the context does, when too little
// arrives, or when more arrives than the file can have.
func (d Downloader) body(ctx context.Context, address string, p *part, f File) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	arrived := d.watch(ctx, cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return NewPermanent(err)
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
	if total > f.MaxBytes {
		return NewPermanent(&TooLargeError{Offered: total, Max: f.MaxBytes})
	}
	if total > 0 && p.done == total {
		return nil
	}
	buf := make([]byte, 1<<16)
	for {
		n, err := resp.Body.Read(buf)
		arrived.Add(int64(n))
		if p.done+int64(n) > f.MaxBytes {
			if err := p.restart(); err != nil {
				return err
			}
			return NewPermanent(&TooLargeError{Max: f.MaxBytes})
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

// StatusError describes an answer that is no success; a Permanent one where asking again
// cannot help.
func StatusError(resp *http.Response) error {
	err := fmt.Errorf("answered %s", resp.Status)
	if resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout {
		return NewPermanent(err)
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

// Package download fetches files over HTTP. It tries several addresses, in several rounds, and
// resumes a download that broke off.
//
//	err := download.Downloader{}.Get(ctx, []string{address}, download.File{Path: "data.gz"})
//
// Downloader.Get fetches a File; the zero Downloader has sensible limits. Every download
// ends: a file has a largest size, and a server that sends nothing, or too slowly, is
// abandoned. A file appears under its name complete and verified, or not at all. The next
// download resumes or removes what an unfinished one wrote. Errors that trying again cannot
// mend are marked as Permanent.
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
	rounds        = 3                // how often each address is tried
	firstBackoff  = time.Second      // before the second round, doubled before each next one
	stallLimit    = 30 * time.Second // an address that sends too little in this time is abandoned
	minRate       = 1 << 10          // bytes a second; a slower server needs twelve days for a gigabyte
	abandonedPart = time.Hour        // age at which the unfinished file of a killed process is removed

	// DefaultMaxBytes is the largest file that is accepted if File.MaxBytes is 0.
	DefaultMaxBytes = 1 << 30
)

// Permanent marks an error of an address that would occur again on another try.
type Permanent struct{ error }

// Unwrap returns the error that was marked.
func (p Permanent) Unwrap() error { return p.error }

// NewPermanent marks an error as permanent.
func NewPermanent(err error) error { return Permanent{err} }

// TooLargeError is the error of a file that is larger than File.MaxBytes. It is always marked
// as permanent.
type TooLargeError struct {
	Offered int64 // length that the server states; 0 if it states none and kept sending
	Max     int64 // bytes that are accepted
}

// Error says how large the file is and what is accepted.
func (e *TooLargeError) Error() string {
	if e.Offered > 0 {
		return fmt.Sprintf("offers %d bytes where at most %d are accepted", e.Offered, e.Max)
	}
	return fmt.Sprintf("kept sending after %d bytes, the most that is accepted", e.Max)
}

// Downloader fetches files. A zero field stands for its default.
type Downloader struct {
	Client  *http.Client  // nil means NewClient
	Backoff time.Duration // time before the second round, doubled before each next one; 0 means one second
	Stall   time.Duration // an address that sends less than MinRate over this time is abandoned; 0 means 30 seconds
	MinRate int64         // bytes per second, averaged over Stall; 0 means 1024
}

// File describes a download.
type File struct {
	Path string // path of the complete file, in an existing folder

	// Part, if set, is the path of the unfinished file, which stays when a download is
	// interrupted and which the next one resumes. It must be different for different
	// contents. If Part is empty, a download is resumed only within one call of Get.
	Part string

	MaxBytes int64 // the largest file that is accepted; 0 means DefaultMaxBytes

	// Verify, if set, checks the content before the file gets its name. An error that is not
	// Permanent means that another try may deliver the right content.
	Verify func(ctx context.Context, f *os.File) error

	// Progress, if set, is called with the bytes that have arrived and the total, 0 if it is not known.
	Progress func(done, total int64)
}

// NewClient returns a client that does not ask for compression, so that files arrive as they
// are stored, and that limits the time to wait for an answer. The caller closes its idle
// connections.
func NewClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true // otherwise the transport would decompress a .gz file
	t.ResponseHeaderTimeout = stallLimit
	return &http.Client{Transport: t}
}

// Get tries the addresses in turn, for several rounds, until one delivers the right content.
// An address whose error is permanent is not tried again. The error tells in one line what
// each address answered.
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
			if errors.As(failed[i], &local) { // another address does not help against a full or read-only disk
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

// failedError holds the error of each address.
type failedError struct{ answers []error }

// Error joins the errors of all addresses in one line.
func (e *failedError) Error() string {
	var lines []string
	for _, err := range e.answers {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "; ")
}

// Unwrap returns the errors of all addresses.
func (e *failedError) Unwrap() []error { return e.answers }

// part is the unfinished file of a download.
type part struct {
	*os.File
	keep bool   // keep the file if it is not finished
	done int64  // bytes that have arrived
	from string // the address that they came from in this call of Get
	etag string // the server's identifier of the content
}

// openPart creates the unfinished file, or opens one that an earlier download left.
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
	if p.done > f.MaxBytes { // too long to be the beginning of this file
		if err := p.restart(); err != nil {
			file.Close()
			return nil, err
		}
	}
	return p, nil
}

// removeAbandoned removes the unfinished files of processes that were killed while they
// downloaded path. It recognises them by their age, since an active download keeps writing.
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

// close closes the unfinished file and removes it if it is of no further use. It does nothing after finish.
func (p *part) close() {
	if p.File == nil {
		return
	}
	p.Close()
	if !p.keep || p.done == 0 {
		os.Remove(p.Name())
	}
}

// restart discards what has arrived.
func (p *part) restart() error {
	p.done, p.from, p.etag = 0, "", ""
	return p.Truncate(0)
}

// finish renames the complete file to path.
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
		// The rename fails on Windows if another program has finished the same file first.
		if _, there := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || there != nil {
			os.Remove(name)
			return err
		}
	}
	return syncFolder(filepath.Dir(path))
}

// try downloads the file from one address, verifies it and renames it.
func (d Downloader) try(ctx context.Context, address string, p *part, f File) error {
	// An unfinished file of this call holds content of its address. Another address may have
	// other content. So may the same address, unless Verify or an ETag would reveal it.
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
			if resumed && errors.As(err, &Permanent{}) { // the resumed beginning may be wrong, so another try may help
				return fmt.Errorf("%v", err)
			}
			return err
		}
	}
	return p.finish(f.Path)
}

// watch cancels the request if less than MinRate arrives over a time of Stall. The caller
// adds the bytes that arrive to the counter that watch returns.
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

// body appends the answer to the unfinished file. It stops if the context ends, if too little
// arrives, or if more arrives than MaxBytes.
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
		p.etag = "" // a weak ETag may be the same for different bytes
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

// begin checks the status of an answer and that it continues where the part ends. It returns
// the length of the whole file, or -1 if that is not known.
func (p *part) begin(resp *http.Response) (total int64, err error) {
	switch resp.StatusCode {
	case http.StatusOK:
		p.done = 0 // the server ignored the range and sends the file from its start
		return resp.ContentLength, nil
	case http.StatusPartialContent:
		var first, last int64
		_, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total)
		if err == nil && p.done > 0 && first == p.done && last == total-1 {
			return total, nil
		}
		err = fmt.Errorf("answered with the part %q instead of the bytes from %d", resp.Header.Get("Content-Range"), p.done)
		if again := p.restart(); again != nil {
			return 0, again
		}
		return 0, err
	case http.StatusRequestedRangeNotSatisfiable: // the part is complete already, or belongs to another file
		had := p.done
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes */%d", &total); err == nil && total == had && had > 0 {
			return total, nil
		}
		if err := p.restart(); err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("has no bytes after the first %d; the file is fetched again from its start", had)
	}
	return 0, StatusError(resp)
}

// StatusError returns an error for an answer whose status is not a success. It is Permanent
// if another try cannot help.
func StatusError(resp *http.Response) error {
	err := fmt.Errorf("answered %s", resp.Status)
	if resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout {
		return NewPermanent(err)
	}
	return err
}

// Cause returns the reason why the context was cancelled, if it was, instead of the error that
// followed. It also removes the address from err, since the caller adds it.
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

// syncFolder makes a rename durable, on systems that can sync a folder.
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

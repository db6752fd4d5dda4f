package data

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/residual-ml/residual/download"
	"github.com/residual-ml/residual/internal/field"
)

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
	var names []string
	for _, f := range s.files {
		names = append(names, f.name, f.name+".gz")
	}
	return fetchFolder(s.name, o, names)
}

func fetchFolder(set string, o Options, names []string) (string, error) {
	root := o.Dir
	if root == "" {
		root = os.Getenv("RESIDUAL_DATA")
	}
	if root == "" {
		return cacheFolder(set)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil {
			return root, nil
		}
	}
	return filepath.Join(root, set), nil
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
		return "", field.Errorf("%s: %w; name a folder that can be written with {Options.Dir}", s.name, err)
	}
	path := filepath.Join(dir, f.name+".gz")
	if err := getFile(ctx, download.Downloader{}, path, f, mirrors, o.Progress); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", field.Errorf("%s: cannot download %s.gz to %s: %w; put the file there yourself, name its folder with {Options.Dir}, or use the data set garments",
			s.name, f.name, dir, err)
	}
	// A plain file of the same name would be found first; it was damaged, or there
	// would have been no download.
	if err := os.Remove(filepath.Join(dir, f.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s: %w; remove that damaged file, %s is good", s.name, err, path)
	}
	return path, nil
}

// getFile downloads name.gz from the first mirror that has the right content.
func getFile(ctx context.Context, d download.Downloader, path string, f idxFile, mirrors []string, progress func(int64, int64, string)) error {
	var addresses []string
	for _, m := range mirrors {
		addresses = append(addresses, strings.TrimSuffix(m, "/")+"/"+f.name+".gz")
	}
	want := download.File{
		Path:     path,
		MaxBytes: f.contentSize() + 1<<16, // compressed, no file is larger than its content and a little
		Verify:   func(ctx context.Context, file *os.File) error { return verify(ctx, file, f) },
	}
	if progress != nil {
		want.Progress = func(done, total int64) { progress(done, total, f.name+".gz") }
	}
	return d.Get(ctx, addresses, want)
}

// verify reads a downloaded file back and compares its content's digest. A damaged
// file may come whole the next time; a whole file of other content will not change.
func verify(ctx context.Context, file *os.File, f idxFile) error {
	r, err := newContentReader(ctx, file)
	if err != nil {
		return fmt.Errorf("sent a file that %w", err)
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(r, f.contentSize()+1)); err != nil {
		return fmt.Errorf("sent a damaged file: %w", err)
	}
	if got := hex.EncodeToString(r.digest.Sum(nil)); got != f.md5 {
		return download.NewPermanent(fmt.Errorf("sent other content: MD5 of the uncompressed content %s, not %s", got, f.md5))
	}
	return nil
}

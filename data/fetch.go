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
		if s.intact(ctx, dir, f) {
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

// fetchFolder chooses the folder to download to: the first folder of the search order when
// files of the set are there already, otherwise a subfolder with the name of the set.
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

// intact reports whether dir holds the file as it was published. It looks at the plain file
// before the .gz one, as find does: a damaged plain file would hide a good download.
func (s idxSet) intact(ctx context.Context, dir string, f idxFile) bool {
	for _, name := range []string{f.name, f.name + ".gz"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			_, err := s.load(ctx, path, f)
			return err == nil
		}
	}
	return false
}

// download writes name.gz to dir. The file appears there only once it is complete and
// verified.
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
	// A plain file of the same name is damaged, since otherwise nothing was downloaded. It
	// would be found before the downloaded file, so it is removed.
	if err := os.Remove(filepath.Join(dir, f.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s: %w; remove that damaged file, %s is good", s.name, err, path)
	}
	return path, nil
}

// getFile downloads name.gz from the first mirror whose file has the right content.
func getFile(ctx context.Context, d download.Downloader, path string, f idxFile, mirrors []string, progress func(int64, int64, string)) error {
	var addresses []string
	for _, m := range mirrors {
		addresses = append(addresses, strings.TrimSuffix(m, "/")+"/"+f.name+".gz")
	}
	want := download.File{
		Path:     path,
		MaxBytes: f.contentSize() + 1<<16, // gzip adds only little to data that it cannot compress
		Verify:   func(ctx context.Context, file *os.File) error { return verify(ctx, file, f) },
	}
	if progress != nil {
		want.Progress = func(done, total int64) { progress(done, total, f.name+".gz") }
	}
	return d.Get(ctx, addresses, want)
}

// verify compares the digest of a downloaded file's content with the published one. A
// damaged file is worth another try; a complete file with other content is a permanent error.
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

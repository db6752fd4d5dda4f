package data

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/filekind"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/internal/shell"
)

// idxFile describes one published file of a data set.
type idxFile struct {
	name  string // without .gz
	split Split
	dims  []int  // [n, h, w] for images, [n] for labels
	md5   string // of the uncompressed content
}

// contentSize returns the size of the uncompressed file in bytes.
func (f idxFile) contentSize() int64 {
	n := int64(1)
	for _, d := range f.dims {
		n *= int64(d)
	}
	return n + 4 + 4*int64(len(f.dims))
}

// idxSet is a data set of IDX files: images and labels for each split.
type idxSet struct {
	name    string
	about   string
	classes []string
	files   []idxFile // for each split: images, then labels
	mirrors []string  // base URLs that serve name + ".gz"
}

// fashionMNIST is Zalando's data set of 70,000 garments (Xiao, Rasul and Vollgraf,
// 2017, arXiv:1708.07747). The digests are of the official files' content.
func fashionMNIST() idxSet {
	return idxSet{
		name:    "fashion-mnist",
		about:   "Zalando's 60,000 + 10,000 grey images of garments, 28x28, ten classes",
		classes: garmentClasses(),
		files: []idxFile{
			{"train-images-idx3-ubyte", Train, []int{60000, 28, 28}, "f4a8712d7a061bf5bd6d2ca38dc4d50a"},
			{"train-labels-idx1-ubyte", Train, []int{60000}, "9018921c3c673c538a1fc5bad174d6f9"},
			{"t10k-images-idx3-ubyte", Test, []int{10000, 28, 28}, "8181f5470baa50b63fa0f6fddb340f0a"},
			{"t10k-labels-idx1-ubyte", Test, []int{10000}, "15d484375f8d13e6eb1aabb0c3f46965"},
		},
		mirrors: []string{
			"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
			"https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
		},
	}
}

// mnist is the data set of 70,000 handwritten digits (LeCun, Cortes and Burges,
// http://yann.lecun.com/exdb/mnist/). The digests are of the official files' content. The
// mirrors belong to torchvision and to the Common Visual Data Foundation.
func mnist() idxSet {
	return idxSet{
		name:    "mnist",
		about:   "60,000 + 10,000 grey images of handwritten digits, 28x28, ten classes",
		classes: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
		files: []idxFile{
			{"train-images-idx3-ubyte", Train, []int{60000, 28, 28}, "6bbc9ace898e44ae57da46a324031adb"},
			{"train-labels-idx1-ubyte", Train, []int{60000}, "a25bea736e30d166cdddb491f175f624"},
			{"t10k-images-idx3-ubyte", Test, []int{10000, 28, 28}, "2646ac647ad5339dbf082846283269ea"},
			{"t10k-labels-idx1-ubyte", Test, []int{10000}, "27ae3e4e09519cfbb04c329615203637"},
		},
		mirrors: []string{
			"https://ossci-datasets.s3.amazonaws.com/mnist/",
			"https://storage.googleapis.com/cvdf-datasets/mnist/",
		},
	}
}

func (s idxSet) info() SourceInfo {
	var bytes int64
	for _, f := range s.files {
		bytes += f.contentSize()
	}
	return SourceInfo{s.name, s.about, fmt.Sprintf(
		"%d files, %d MB unpacked: from a folder you name, RESIDUAL_DATA or the cache, else a download",
		len(s.files), bytes/1e6)}
}

func (f idxFile) part() Split { return f.split }

// ofPart returns the files of one split in their given order.
func ofPart[F interface{ part() Split }](files []F, split Split) (out []F) {
	for _, f := range files {
		if f.part() == split {
			out = append(out, f)
		}
	}
	return out
}

func (s idxSet) open(ctx context.Context, o Options) (Dataset, error) {
	files := ofPart(s.files, o.Split)
	paths, err := s.locate(ctx, o, files)
	if err != nil {
		return nil, err
	}
	var arrays [2]*idxArray
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if arrays[i], err = s.load(ctx, paths[i], f); err != nil {
			return nil, err
		}
	}
	images, labels := arrays[0], arrays[1]
	if images.dims[0] != labels.dims[0] {
		return nil, fmt.Errorf("%s holds %d images but %s holds %d labels; %s",
			paths[0], images.dims[0], paths[1], labels.dims[0], s.nextStep())
	}
	if _, _, _, err := labelStats(labels.data, len(s.classes)); err != nil {
		return nil, fmt.Errorf("%s: %w; %s", paths[1], err, s.nextStep())
	}
	return &memory{
		info:   Info{Name: s.name, Classes: s.classes, Channels: 1, Height: images.dims[1], Width: images.dims[2]},
		pixels: images.data, labels: labels.data,
	}, nil
}

func (s idxSet) nextStep() string { return nextStep(s.name) }

func nextStep(set string) string {
	return fmt.Sprintf("get good files with: residual data fetch %s", set)
}

// folders lists the folders in which the files of a data set are looked for, in order. When
// Options.Dir is set, no other folder is searched.
func folders(set string, o Options) []string {
	var roots []string
	if o.Dir != "" {
		roots = append(roots, o.Dir)
	} else {
		if env := os.Getenv("RESIDUAL_DATA"); env != "" {
			roots = append(roots, env)
		}
		if cache, err := os.UserCacheDir(); err == nil {
			roots = append(roots, filepath.Join(cache, "residual"))
		}
	}
	var out []string
	for _, r := range roots {
		out = append(out, r, filepath.Join(r, set))
	}
	return out
}

// find returns the path of a file, plain or .gz, in the first folder that has it. It returns
// fs.ErrNotExist when no folder has it.
func (s idxSet) find(o Options, f idxFile) (string, error) {
	for _, dir := range folders(s.name, o) {
		for _, name := range []string{f.name, f.name + ".gz"} {
			path := filepath.Join(dir, name)
			switch st, err := os.Stat(path); {
			case err == nil && st.Mode().IsRegular():
				return path, nil
			case err == nil:
				return "", field.Errorf("%s is not a regular file; put the data file there or name another folder with {Options.Dir}", path)
			case !errors.Is(err, fs.ErrNotExist):
				return "", field.Errorf("%w; make it readable or name another folder with {Options.Dir}", err)
			}
		}
	}
	return "", fs.ErrNotExist
}

// locate returns the path of each file. Unless Options.Dir is set, it downloads missing
// files into the user cache folder.
func (s idxSet) locate(ctx context.Context, o Options, files []idxFile) ([]string, error) {
	paths := make([]string, len(files))
	for i, f := range files {
		path, err := s.find(o, f)
		if errors.Is(err, fs.ErrNotExist) {
			path, err = s.missing(ctx, o, f)
		}
		if err != nil {
			return nil, err
		}
		paths[i] = path
	}
	return paths, nil
}

// missing downloads a file that no folder has. When Options.Dir or Options.Offline forbids
// the download, it returns an error with the next step.
func (s idxSet) missing(ctx context.Context, o Options, f idxFile) (string, error) {
	if o.Dir != "" {
		return "", field.Errorf("%s: neither %s nor %s.gz is in %s; download it with: {Fetch} %s {Options.Dir} %s",
			s.name, f.name, f.name, o.Dir, s.name, shell.Quote(o.Dir))
	}
	if o.Offline {
		return "", field.Errorf("%s: %s.gz is not on this machine and downloading is turned off; name its folder with {Options.Dir} or RESIDUAL_DATA, or use the data set garments",
			s.name, f.name)
	}
	dir, err := cacheFolder(s.name)
	if err != nil {
		return "", err
	}
	return s.download(ctx, o, dir, f)
}

func cacheFolder(set string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", field.Errorf("%s: no user cache folder (%w); name a folder with {Options.Dir}", set, err)
	}
	return filepath.Join(cache, "residual", set), nil
}

// load reads one file and verifies its dimensions and its digest.
func (s idxSet) load(ctx context.Context, path string, f idxFile) (*idxArray, error) {
	a, digest, err := readIDXFile(ctx, path, f)
	if err == nil && digest != f.md5 {
		err = fmt.Errorf("has other content than the published file: MD5 of the uncompressed content %s, not %s", digest, f.md5)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var known *fs.PathError // already names the file
		if errors.As(err, &known) {
			return nil, fmt.Errorf("%w; %s", err, s.nextStep())
		}
		return nil, fmt.Errorf("%s: %w; %s", path, err, s.nextStep())
	}
	return a, nil
}

// readIDXFile reads a plain or gzip-compressed IDX file and returns the MD5 of its
// uncompressed content.
func readIDXFile(ctx context.Context, path string, f idxFile) (*idxArray, string, error) {
	file, err := regular.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	r, err := newContentReader(ctx, file)
	if err != nil {
		return nil, "", err
	}
	a, err := readIDX(r, len(f.dims), f.contentSize())
	if err != nil {
		return nil, "", err
	}
	return a, hex.EncodeToString(r.digest.Sum(nil)), nil
}

// contentReader reads the uncompressed content of a plain or gzip-compressed file and
// computes its MD5. It stops when its context ends.
type contentReader struct {
	ctx    context.Context
	r      io.Reader
	digest hash.Hash
}

func newContentReader(ctx context.Context, r io.Reader) (*contentReader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	c := &contentReader{ctx, b, md5.New()}
	if magic, err := b.Peek(2); err == nil && filekind.Of(magic) == filekind.Gzip {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("is not a complete gzip file: %w", err)
		}
		c.r = z
	}
	return c, nil
}

func (c *contentReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.digest.Write(p[:n])
	return n, err
}

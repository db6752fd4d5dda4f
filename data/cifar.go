package data

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/shell"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/residual-ml/residual/internal/regular"
)

// cifarFile is one file of records as its makers published it.
type cifarFile struct {
	name  string
	split Split
	count int    // records
	md5   string // of the content
}

func (f cifarFile) part() Split { return f.split }

// cifarSet is a data set of the binary version of CIFAR: files of records, each of a
// few bytes of labels and an image, plane by plane. They lie in one folder, or in the
// archive as it is downloaded. Format: https://www.cs.toronto.edu/~kriz/cifar.html.
type cifarSet struct {
	name, about string
	classes     []string
	labels      int // bytes before the pixels of a record; the last one counts
	side        int // pixels of both sides
	archive     string
	folder      string // in the archive
	files       []cifarFile
	mirrors     []string // base URLs that serve the archive
}

var cifarMirrors = []string{
	"https://www.cs.toronto.edu/~kriz/",
	"https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
}

// cifar10 is the data set of 60,000 small photos in ten classes (Krizhevsky 2009).
func cifar10() cifarSet {
	return cifarSet{
		name:    "cifar10",
		about:   "50,000 + 10,000 colour photos of animals and vehicles, 32x32, ten classes",
		classes: strings.Fields("airplane automobile bird cat deer dog frog horse ship truck"),
		labels:  1, side: 32,
		archive: "cifar-10-binary.tar.gz", folder: "cifar-10-batches-bin",
		files: []cifarFile{
			{"data_batch_1.bin", Train, 10000, "5dd7e06a14cb22eb9f671a540d1b7c25"},
			{"data_batch_2.bin", Train, 10000, "5ea93a67294ea407fff1d09f752e9692"},
			{"data_batch_3.bin", Train, 10000, "942cd6a4bcdd0dd3c604fbe906cb4421"},
			{"data_batch_4.bin", Train, 10000, "ae636b3ba5c66a11e91e8cb52e771fcb"},
			{"data_batch_5.bin", Train, 10000, "53f37980c15c3d472c316c40844f3f0d"},
			{"test_batch.bin", Test, 10000, "803d5f7f4d78ea53de84dbe85f74fb6d"},
		},
		mirrors: cifarMirrors,
	}
}

// cifar100 is the same with a hundred classes, by the fine labels.
func cifar100() cifarSet {
	return cifarSet{
		name:  "cifar100",
		about: "50,000 + 10,000 colour photos, 32x32, a hundred classes",
		classes: strings.Fields(`apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
			camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
			elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
			maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain
			plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
			spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip
			turtle wardrobe whale willow_tree wolf woman worm`),
		labels: 2, side: 32,
		archive: "cifar-100-binary.tar.gz", folder: "cifar-100-binary",
		files: []cifarFile{
			{"train.bin", Train, 50000, "6172c7755cfe09b2fe270c85cebc1b15"},
			{"test.bin", Test, 10000, "4499cfba6c016c1be1438163640a0898"},
		},
		mirrors: cifarMirrors,
	}
}

func (s cifarSet) record() int { return s.labels + s.pixels() }
func (s cifarSet) pixels() int { return 3 * s.side * s.side }

// contentSize returns the bytes of all files.
func (s cifarSet) contentSize() (n int64) {
	for _, f := range s.files {
		n += int64(f.count) * int64(s.record())
	}
	return n
}

func (s cifarSet) info() SourceInfo {
	return SourceInfo{s.name, s.about, fmt.Sprintf(
		"%s or its %d files, %d MB unpacked: from a folder you name, RESIDUAL_DATA or the cache, else a download",
		s.archive, len(s.files), s.contentSize()/1e6)}
}

func (s cifarSet) open(ctx context.Context, o Options) (Dataset, error) {
	files := ofPart(s.files, o.Split)
	at, err := s.locate(o, files)
	if err == nil && at == (place{}) {
		at, err = s.missing(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	m := &memory{info: Info{Name: s.name, Classes: s.classes, Channels: 3, Height: s.side, Width: s.side}}
	byName := map[string]*records{}
	err = s.read(ctx, at, files, func(f cifarFile, r *records) error {
		byName[f.name] = r
		return s.good(f, r)
	})
	if err != nil {
		return nil, err
	}
	total := 0
	for _, f := range files {
		total += f.count
	}
	m.labels, m.pixels = make([]uint8, 0, total), make([]uint8, 0, total*s.pixels())
	for _, f := range files { // in their order, whatever the archive's
		r := byName[f.name]
		m.labels = append(m.labels, r.labels...)
		m.pixels = append(m.pixels, r.pixels...)
		byName[f.name] = nil
	}
	return m, nil
}

// place is where files lie: in a folder or in an archive.
type place struct{ dir, archive string }

// of is the path to name in an error.
func (p place) of(f cifarFile) string {
	if p.archive != "" {
		return p.archive + ": " + f.name
	}
	return filepath.Join(p.dir, f.name)
}

// locate finds the first folder that has all the files, or the archive; nothing when
// there is none.
func (s cifarSet) locate(o Options, files []cifarFile) (place, error) {
	for _, root := range folders(s.name, o) {
		for _, dir := range []string{root, filepath.Join(root, s.folder)} {
			have := 0
			for _, f := range files {
				ok, err := isRegular(filepath.Join(dir, f.name))
				if err != nil {
					return place{}, err
				}
				if ok {
					have++
				}
			}
			if have == len(files) {
				return place{dir: dir}, nil
			}
		}
		archive := filepath.Join(root, s.archive)
		if ok, err := isRegular(archive); ok || err != nil {
			return place{archive: archive}, err
		}
	}
	return place{}, nil
}

// missing downloads the archive that no folder has, or says why it must not.
func (s cifarSet) missing(ctx context.Context, o Options) (place, error) {
	if o.Dir != "" {
		return place{}, field.Errorf("%s: neither %s nor %s and the other files are in %s; download it with: {Fetch} %s {Options.Dir} %s",
			s.name, s.archive, s.files[0].name, o.Dir, s.name, shell.Quote(o.Dir))
	}
	if o.Offline {
		return place{}, field.Errorf("%s: %s is not on this machine and downloading is turned off; name its folder with {Options.Dir} or RESIDUAL_DATA, or use the data set garments",
			s.name, s.archive)
	}
	dir, err := cacheFolder(s.name)
	if err != nil {
		return place{}, err
	}
	archive, err := s.download(ctx, o, dir)
	return place{archive: archive}, err
}

// records are the content of a file.
type records struct {
	labels, pixels []uint8
	md5            string
}

// good compares with what was published.
func (s cifarSet) good(f cifarFile, r *records) error {
	if r.md5 != f.md5 {
		return fmt.Errorf("has other content than the published file: MD5 %s, not %s", r.md5, f.md5)
	}
	_, _, _, err := labelStats(r.labels, len(s.classes))
	return err
}

// read hands over the files, in any order, each once. An error, take's too, is told with
// the file's path and the next step.
func (s cifarSet) read(ctx context.Context, at place, files []cifarFile, take func(cifarFile, *records) error) error {
	wrap := func(path string, err error) error {
		if err == nil || ctx.Err() != nil {
			return errors.Join(ctx.Err())
		}
		var known *os.PathError // it names the file itself
		if errors.As(err, &known) {
			return fmt.Errorf("%w; %s", err, nextStep(s.name))
		}
		return fmt.Errorf("%s: %w; %s", path, err, nextStep(s.name))
	}
	if at.archive != "" {
		at, err := s.readArchive(ctx, at, files, take)
		return wrap(at, err)
	}
	for _, f := range files {
		path := at.of(f)
		err := func() error {
			file, err := regular.Open(path)
			if err != nil {
				return err
			}
			defer file.Close()
			r, err := s.readRecords(&contentReader{ctx, bufio.NewReaderSize(file, 1<<16), md5.New()}, f)
			if err != nil {
				return err
			}
			return take(f, r)
		}()
		if err != nil {
			return wrap(path, err)
		}
	}
	return ctx.Err()
}

// readArchive walks through the archive once; it returns what an error is about.
func (s cifarSet) readArchive(ctx context.Context, at place, files []cifarFile, take func(cifarFile, *records) error) (string, error) {
	file, err := regular.Open(at.archive)
	if err != nil {
		return at.archive, err
	}
	defer file.Close()
	return s.walk(ctx, file, at.archive, files, take)
}

// walk reads the records of a compressed archive's files. It unpacks no more than the
// published archive holds and a little, whatever is in this one.
func (s cifarSet) walk(ctx context.Context, file io.Reader, name string, files []cifarFile, take func(cifarFile, *records) error) (string, error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(file, 1<<16))
	if err != nil {
		return name, fmt.Errorf("is not a whole gzip file: %w", err)
	}
	members := tar.NewReader(io.LimitReader(z, s.contentSize()+1<<20))
	left := map[string]cifarFile{}
	for _, f := range files {
		left[f.name] = f
	}
	for len(left) > 0 {
		if err := ctx.Err(); err != nil {
			return name, err
		}
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			for _, f := range files {
				if _, ok := left[f.name]; ok {
					return name, fmt.Errorf("does not hold %s", f.name)
				}
			}
		}
		if err != nil {
			return name, fmt.Errorf("is no whole archive: %w", err)
		}
		f, wanted := left[path.Base(header.Name)]
		if !wanted || header.Typeflag != tar.TypeReg {
			continue
		}
		delete(left, f.name)
		r, err := s.readRecords(&contentReader{ctx, members, md5.New()}, f)
		if err == nil {
			err = take(f, r)
		}
		if err != nil {
			return name + ": " + f.name, err
		}
	}
	return name, nil
}

// readRecords reads a whole file. Memory grows with the bytes that arrive.
func (s cifarSet) readRecords(c *contentReader, f cifarFile) (*records, error) {
	r, one := &records{}, make([]uint8, s.record())
	for i := range f.count {
		if _, err := io.ReadFull(c, one); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, fmt.Errorf("is cut short: it holds %d of %d whole records", i, f.count)
			}
			return nil, err
		}
		r.labels = append(r.labels, one[s.labels-1])
		r.pixels = append(r.pixels, one[s.labels:]...)
	}
	if n, err := io.ReadFull(c, one[:1]); n > 0 || !errors.Is(err, io.EOF) {
		if n > 0 {
			err = fmt.Errorf("goes on after its %d records", f.count)
		}
		return nil, err
	}
	r.md5 = hex.EncodeToString(c.digest.Sum(nil))
	return r, nil
}

// isRegular tells whether there is a file that can be read.
func isRegular(path string) (bool, error) {
	switch st, err := os.Stat(path); {
	case err == nil && st.Mode().IsRegular():
		return true, nil
	case err == nil:
		return false, field.Errorf("%s is not a regular file; put the data file there or name another folder with {Options.Dir}", path)
	case !errors.Is(err, os.ErrNotExist):
		return false, field.Errorf("%w; make it readable or name another folder with {Options.Dir}", err)
	}
	return false, nil
}

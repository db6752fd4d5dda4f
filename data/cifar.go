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
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/internal/shell"
)

// cifarFile describes one published file of records.
type cifarFile struct {
	name  string
	split Split
	count int    // records
	md5   string // of the content
}

func (f cifarFile) part() Split { return f.split }

// cifarSet is a data set in the binary format of CIFAR: files of records, where a record is
// one or two bytes of labels and then an image, plane by plane. The files are in one folder
// or in the downloaded archive. Format: https://www.cs.toronto.edu/~kriz/cifar.html.
type cifarSet struct {
	name, about string
	classes     []string
	labels      int // bytes of labels before the pixels of a record; the last one is used
	side        int // height and width of an image in pixels
	archive     string
	folder      string // the folder in the archive that holds the files
	files       []cifarFile
	mirrors     []string // base URLs that serve the archive
}

var cifarMirrors = []string{
	"https://www.cs.toronto.edu/~kriz/",
	"https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
}

// cifar10 is the data set of 60,000 small images in ten classes (Krizhevsky 2009).
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

// cifar100 is the data set of 60,000 small images in a hundred classes, the fine labels.
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

func (s cifarSet) recordSize() int { return s.labels + s.pixelBytes() }
func (s cifarSet) pixelBytes() int { return 3 * s.side * s.side }

// contentSize returns the size of all files together in bytes.
func (s cifarSet) contentSize() (n int64) {
	for _, f := range s.files {
		n += int64(f.count) * int64(s.recordSize())
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
	found, err := s.locate(o, files)
	if err == nil && found == (location{}) {
		found, err = s.missing(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	m := &memory{info: Info{Name: s.name, Classes: s.classes, Channels: 3, Height: s.side, Width: s.side}}
	byName := map[string]*records{}
	err = s.read(ctx, found, files, func(f cifarFile, r *records) error {
		byName[f.name] = r
		return s.verify(f, r)
	})
	if err != nil {
		return nil, err
	}
	total := 0
	for _, f := range files {
		total += f.count
	}
	m.labels, m.pixels = make([]uint8, 0, total), make([]uint8, 0, total*s.pixelBytes())
	for _, f := range files { // in this order, which may not be that of the archive
		r := byName[f.name]
		m.labels = append(m.labels, r.labels...)
		m.pixels = append(m.pixels, r.pixels...)
		byName[f.name] = nil
	}
	return m, nil
}

// location says where the files are: in a folder or in an archive.
type location struct{ dir, archive string }

// path returns the path of a file, or its name in the archive for error messages.
func (l location) path(f cifarFile) string {
	if l.archive != "" {
		return l.archive + ": " + f.name
	}
	return filepath.Join(l.dir, f.name)
}

// locate finds the first folder that has all the files, or the archive. It returns the zero
// location when there is none.
func (s cifarSet) locate(o Options, files []cifarFile) (location, error) {
	for _, root := range folders(s.name, o) {
		for _, dir := range []string{root, filepath.Join(root, s.folder)} {
			present := 0
			for _, f := range files {
				ok, err := isRegular(filepath.Join(dir, f.name))
				if err != nil {
					return location{}, err
				}
				if ok {
					present++
				}
			}
			if present == len(files) {
				return location{dir: dir}, nil
			}
		}
		archive := filepath.Join(root, s.archive)
		if ok, err := isRegular(archive); ok || err != nil {
			return location{archive: archive}, err
		}
	}
	return location{}, nil
}

// missing downloads the archive that no folder has. When Options.Dir or Options.Offline
// forbids the download, it returns an error with the next step.
func (s cifarSet) missing(ctx context.Context, o Options) (location, error) {
	if o.Dir != "" {
		return location{}, field.Errorf("%s: neither %s nor %s and the other files are in %s; download it with: {Fetch} %s {Options.Dir} %s",
			s.name, s.archive, s.files[0].name, o.Dir, s.name, shell.Quote(o.Dir))
	}
	if o.Offline {
		return location{}, field.Errorf("%s: %s is not on this machine and downloading is turned off; name its folder with {Options.Dir} or RESIDUAL_DATA, or use the data set garments",
			s.name, s.archive)
	}
	dir, err := cacheFolder(s.name)
	if err != nil {
		return location{}, err
	}
	archive, err := s.download(ctx, o, dir)
	return location{archive: archive}, err
}

// records is the content of one file.
type records struct {
	labels, pixels []uint8
	md5            string
}

// verify returns an error unless the records have the published digest and valid labels.
func (s cifarSet) verify(f cifarFile, r *records) error {
	if r.md5 != f.md5 {
		return fmt.Errorf("has other content than the published file: MD5 %s, not %s", r.md5, f.md5)
	}
	_, _, _, err := labelStats(r.labels, len(s.classes))
	return err
}

// read calls use once for each file, in any order. It adds the path and the next step to
// errors, also to those of use.
func (s cifarSet) read(ctx context.Context, loc location, files []cifarFile, use func(cifarFile, *records) error) error {
	wrap := func(path string, err error) error {
		if err == nil || ctx.Err() != nil {
			return errors.Join(ctx.Err())
		}
		var known *os.PathError // already names the file
		if errors.As(err, &known) {
			return fmt.Errorf("%w; %s", err, nextStep(s.name))
		}
		return fmt.Errorf("%s: %w; %s", path, err, nextStep(s.name))
	}
	if loc.archive != "" {
		subject, err := s.readArchive(ctx, loc, files, use)
		return wrap(subject, err)
	}
	for _, f := range files {
		path := loc.path(f)
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
			return use(f, r)
		}()
		if err != nil {
			return wrap(path, err)
		}
	}
	return ctx.Err()
}

// readArchive reads the files in one pass over the archive. The string that it returns names
// the archive or the file in it that an error is about.
func (s cifarSet) readArchive(ctx context.Context, loc location, files []cifarFile, use func(cifarFile, *records) error) (string, error) {
	file, err := regular.Open(loc.archive)
	if err != nil {
		return loc.archive, err
	}
	defer file.Close()
	return s.readTar(ctx, file, loc.archive, files, use)
}

// readTar reads the files in a compressed archive, as readArchive does. It unpacks little more
// than the size of the published content, so a hostile archive does little harm.
func (s cifarSet) readTar(ctx context.Context, file io.Reader, name string, files []cifarFile, use func(cifarFile, *records) error) (string, error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(file, 1<<16))
	if err != nil {
		return name, fmt.Errorf("is not a complete gzip file: %w", err)
	}
	members := tar.NewReader(io.LimitReader(z, s.contentSize()+1<<20))
	missing := map[string]cifarFile{}
	for _, f := range files {
		missing[f.name] = f
	}
	for len(missing) > 0 {
		if err := ctx.Err(); err != nil {
			return name, err
		}
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			for _, f := range files {
				if _, ok := missing[f.name]; ok {
					return name, fmt.Errorf("does not hold %s", f.name)
				}
			}
		}
		if err != nil {
			return name, fmt.Errorf("is not a complete archive: %w", err)
		}
		f, needed := missing[path.Base(header.Name)]
		if !needed || header.Typeflag != tar.TypeReg {
			continue
		}
		delete(missing, f.name)
		r, err := s.readRecords(&contentReader{ctx, members, md5.New()}, f)
		if err == nil {
			err = use(f, r)
		}
		if err != nil {
			return name + ": " + f.name, err
		}
	}
	return name, nil
}

// readRecords reads all records of a file. It allocates memory as data arrives.
func (s cifarSet) readRecords(c *contentReader, f cifarFile) (*records, error) {
	r, record := &records{}, make([]uint8, s.recordSize())
	for i := range f.count {
		if _, err := io.ReadFull(c, record); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, fmt.Errorf("is cut short: it holds %d of %d complete records", i, f.count)
			}
			return nil, err
		}
		r.labels = append(r.labels, record[s.labels-1])
		r.pixels = append(r.pixels, record[s.labels:]...)
	}
	if n, err := io.ReadFull(c, record[:1]); n > 0 || !errors.Is(err, io.EOF) {
		if n > 0 {
			err = fmt.Errorf("goes on after its %d records", f.count)
		}
		return nil, err
	}
	r.md5 = hex.EncodeToString(c.digest.Sum(nil))
	return r, nil
}

// isRegular reports whether path is a regular file. Anything else at path is an error.
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

package data

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/residual-ml/residual/download"
	"github.com/residual-ml/residual/internal/field"
)

// fetch downloads the archive if files are missing or damaged and returns the folder.
func (s cifarSet) fetch(ctx context.Context, o Options) (string, error) {
	names := []string{s.archive, s.folder}
	for _, f := range s.files {
		names = append(names, f.name)
	}
	dir, err := fetchFolder(s.name, o, names)
	if err != nil {
		return "", err
	}
	o.Dir = dir // look for intact files there and nowhere else
	loc, err := s.locate(o, s.files)
	if err == nil && loc != (location{}) && s.read(ctx, loc, s.files, s.verify) == nil {
		return dir, nil
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err != nil {
		return "", err
	}
	if o.Offline {
		return "", fmt.Errorf("%s: %s is missing or damaged in %s and downloading is turned off", s.name, s.archive, dir)
	}
	if _, err := s.download(ctx, o, dir); err != nil {
		return "", err
	}
	if loc.dir != "" { // damaged files there would be found before the archive
		for _, f := range s.files {
			if err := os.Remove(filepath.Join(loc.dir, f.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return "", fmt.Errorf("%s: %w; remove that damaged file, %s is good", s.name, err, s.archive)
			}
		}
	}
	return dir, nil
}

// download writes the archive to dir. It appears there only once it is complete and every
// file in it is verified.
func (s cifarSet) download(ctx context.Context, o Options, dir string) (string, error) {
	mirrors := o.Mirrors
	if mirrors == nil {
		mirrors = s.mirrors
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", field.Errorf("%s: %w; name a folder that can be written with {Options.Dir}", s.name, err)
	}
	var addresses []string
	for _, m := range mirrors {
		addresses = append(addresses, strings.TrimSuffix(m, "/")+"/"+s.archive)
	}
	want := download.File{
		Path:     filepath.Join(dir, s.archive),
		MaxBytes: s.contentSize() + 1<<20,
		Verify: func(ctx context.Context, file *os.File) error {
			otherContent := false
			_, err := s.readTar(ctx, file, s.archive, s.files, func(f cifarFile, r *records) error {
				err := s.verify(f, r)
				otherContent = err != nil
				return err
			})
			switch {
			case otherContent: // a complete file with other content will not change
				return download.NewPermanent(fmt.Errorf("sent other content: a file in it %w", err))
			case err != nil:
				return fmt.Errorf("sent a file that %w", err)
			}
			return nil
		},
	}
	if o.Progress != nil {
		want.Progress = func(done, total int64) { o.Progress(done, total, s.archive) }
	}
	if err := (download.Downloader{}).Get(ctx, addresses, want); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", field.Errorf("%s: cannot download %s to %s: %w; put the file there yourself, name its folder with {Options.Dir}, or use the data set garments",
			s.name, s.archive, dir, err)
	}
	return want.Path, nil
}

func (s cifarSet) check(ctx context.Context, o Options) (*Report, error) {
	r := &Report{Name: s.name, OK: true}
	loc, err := s.locate(o, s.files)
	if err == nil && loc == (location{}) {
		err = fmt.Errorf("is missing; %s", nextStep(s.name))
	}
	reports := map[string]*FileReport{}
	for _, f := range s.files {
		fr := &FileReport{File: f.name, Split: f.split, Kind: "images and labels"}
		if err != nil {
			fr.Problem = err.Error()
		} else if fr.Path = loc.archive; loc.archive == "" {
			fr.Path = loc.path(f)
		}
		if st, err := os.Stat(fr.Path); err == nil {
			fr.Bytes = st.Size()
		}
		reports[f.name] = fr
	}
	fill := func(f cifarFile, got *records) error {
		fr := reports[f.name]
		fr.MD5, fr.DigestOK, fr.Count = got.md5, got.md5 == f.md5, len(got.labels)
		fr.PixelMean, fr.PixelStd = pixelStats(got.pixels)
		fr.LabelMin, fr.LabelMax, fr.Histogram, _ = labelStats(got.labels, len(s.classes))
		if err := s.verify(f, got); err != nil {
			fr.Problem = fmt.Sprintf("%v; %s", err, nextStep(s.name))
		}
		return nil
	}
	if err == nil {
		s.checkFiles(ctx, loc, fill, reports)
	}
	for _, f := range s.files {
		r.Files = append(r.Files, *reports[f.name])
		r.OK = r.OK && reports[f.name].Problem == ""
	}
	return r, ctx.Err()
}

// checkFiles reads every file of a folder even if others are damaged, and an archive up to
// the first error.
func (s cifarSet) checkFiles(ctx context.Context, loc location, use func(cifarFile, *records) error, reports map[string]*FileReport) {
	readOrReport := func(files []cifarFile) {
		if err := s.read(ctx, loc, files, use); err != nil {
			for _, f := range files {
				if fr := reports[f.name]; fr.Count == 0 {
					fr.Problem = strings.TrimPrefix(strings.TrimPrefix(err.Error(), fr.Path+": "), f.name+": ")
				}
			}
		}
	}
	if loc.archive != "" {
		readOrReport(s.files)
		return
	}
	for _, f := range s.files {
		readOrReport([]cifarFile{f})
	}
}

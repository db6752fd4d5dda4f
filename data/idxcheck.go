package data

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

func (s idxSet) check(ctx context.Context, o Options) (*Report, error) {
	r := &Report{Name: s.name, OK: true}
	for _, f := range s.files {
		fr, err := s.checkFile(ctx, o, f)
		if err != nil {
			return nil, err
		}
		r.Files = append(r.Files, fr)
		r.OK = r.OK && fr.Problem == ""
	}
	return r, nil
}

func (s idxSet) checkFile(ctx context.Context, o Options, f idxFile) (FileReport, error) {
	r := FileReport{File: f.name, Split: f.split, Kind: "labels"}
	if len(f.dims) > 1 {
		r.Kind = "images"
	}
	path, err := s.find(o, f)
	if err != nil {
		if r.Problem = err.Error(); errors.Is(err, fs.ErrNotExist) {
			r.Problem = "is missing; " + s.nextStep()
		}
		return r, nil
	}
	r.Path = path
	if st, err := os.Stat(path); err == nil {
		r.Bytes = st.Size()
	}
	a, digest, err := readIDXFile(ctx, path, f)
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if err != nil {
		r.Problem = fmt.Sprintf("%v; %s", err, s.nextStep())
		return r, nil
	}
	r.MD5, r.DigestOK, r.Count = digest, digest == f.md5, a.dims[0]
	if r.Kind == "images" {
		r.PixelMean, r.PixelStd = pixelStats(a.data)
	} else if r.LabelMin, r.LabelMax, r.Histogram, err = labelStats(a.data, len(s.classes)); err != nil {
		r.Problem = fmt.Sprintf("%v; %s", err, s.nextStep())
	}
	if !r.DigestOK && r.Problem == "" {
		r.Problem = fmt.Sprintf("has other content than the published file, whose MD5 is %s; %s", f.md5, s.nextStep())
	}
	return r, nil
}

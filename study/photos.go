package study

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/train"
)

// photos opens one part of a user's own images, divided as in the model's run; see
// inference.Classifier.OpenPhotos.
func (o *opened) photos(ctx context.Context, split data.Split, size int, progress func(done, total int64, what string)) (data.Dataset, error) {
	path := o.Data
	if path == o.classifier.Info().Dataset { // Dataset holds only the last element of the path
		path = ""
	}
	var tell func(done, total int)
	if progress != nil {
		tell = func(done, total int) { progress(int64(done), int64(total), train.CheckingImages) }
	}
	p, err := o.classifier.OpenPhotosBy(ctx, path, split, folder.Options{MaxPixels: o.MaxPixels}, tell)
	if err != nil {
		return nil, err
	}
	if p.All && split == data.Train {
		return nil, fmt.Errorf("%s has no division into training and test images, and blocks must not be chosen by test images; put the images into folders train and val, or name what the model was trained on", p.Path)
	}
	if o.Data, err = filepath.Abs(p.Path); err != nil {
		return nil, err
	}
	var run train.Config
	if o.beside().PickSettings(&run) == nil {
		o.Holdout, o.HoldoutSeed = run.Holdout, run.HoldoutSeed
		o.MaxPixels = cmp.Or(o.MaxPixels, run.MaxPixels)
	}
	return data.First(p, size), nil
}

// beside returns the folder of the model's file as a run.
func (o *opened) beside() *checkpoint.Run { return &checkpoint.Run{Dir: filepath.Dir(o.Model)} }

// keepRecord copies the division of the images into a derived model's folder, so that the
// derived model is tested on images that neither model was trained on.
func (o *opened) keepRecord(to *checkpoint.Run) error {
	if !folder.IsPath(o.Data) {
		return nil
	}
	from, err := regular.Open(o.beside().Path(folder.RecordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	return checkpoint.WriteFile(to.Path(folder.RecordFile), func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	})
}

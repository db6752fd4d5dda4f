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

// photos opens a part of a user's own pictures, as the run of the model divided them; see
// inference.Classifier.OpenPhotos.
func (o *opened) photos(ctx context.Context, split data.Split, size int, progress func(done, total int64, what string)) (data.Dataset, error) {
	path := o.Data
	if path == o.classifier.Info().Dataset { // which has the last part of the path alone
		path = ""
	}
	var tell func(done, total int)
	if progress != nil {
		tell = func(done, total int) { progress(int64(done), int64(total), train.CheckingPictures) }
	}
	p, err := o.classifier.OpenPhotosBy(ctx, path, split, folder.Options{MaxPixels: o.MostPixels}, tell)
	if err != nil {
		return nil, err
	}
	if p.All && split == data.Train {
		return nil, fmt.Errorf("%s: nobody has divided these pictures, and the choice must not be made by those that are tested on; put them in folders train and val, or name what the model was trained on", p.Path)
	}
	if o.Data, err = filepath.Abs(p.Path); err != nil {
		return nil, err
	}
	var run train.Config
	if o.beside().PickSettings(&run) == nil {
		o.Holdout, o.HoldoutSeed = run.Holdout, run.HoldoutSeed
		o.MostPixels = cmp.Or(o.MostPixels, run.MostPixels)
	}
	return data.First(p, size), nil
}

// beside is the folder of the model's file.
func (o *opened) beside() *checkpoint.Run { return &checkpoint.Run{Dir: filepath.Dir(o.Model)} }

// keepRecord puts beside a model that is made of another how the run of that one divided
// the pictures, so that it is measured on what neither has seen.
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

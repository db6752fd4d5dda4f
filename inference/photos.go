package inference

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
)

// Photos are pictures of a user's own to evaluate a model on.
type Photos struct {
	*folder.Set                  // labels are the model's, by the names of its classes
	Path        string           // of the folder or list
	All         bool             // nobody divided it: these are all of its pictures
	Skipped     []folder.Problem // that cannot be read; they are not in the set
}

// OpenPhotos opens a folder or a list of pictures, as folder.ScanAs reads it with the
// model's classes: one that lacks some of them is as good as any. Where nobody divided
// the pictures and they are those that the model was trained on, which the file of its
// run beside it tells, the part is the run's, and else they are all taken. An empty path
// means what the model was trained on.
func (c *Classifier) OpenPhotos(ctx context.Context, path string, split data.Split, progress func(done, total int)) (*Photos, error) {
	if err := c.TakesImages(); err != nil {
		return nil, err
	}
	run := c.run()
	if path == "" {
		if path = run.data; path == "" {
			return nil, fmt.Errorf("%s was trained on %s, and the settings of its run are not beside it; name the folder of pictures with --data", c.path, c.info.Dataset)
		}
	}
	p := &Photos{Path: path}
	x, err := run.index(path, c.info.Classes)
	if err != nil {
		return nil, err
	}
	if x == nil {
		if x, err = folder.ScanAs(path, c.info.Classes); err != nil {
			return nil, err
		}
		r, _, err := x.Check(ctx, folder.Options{Channels: c.info.Channels}, progress)
		if err != nil {
			return nil, err
		}
		if x, _, err = x.Without(r, nil); err != nil {
			return nil, err
		}
		p.Skipped = r.Broken
		if p.All = !x.Tested; p.All {
			for i := range x.Items {
				x.Items[i].Split = split
			}
		}
	}
	// The classifier prepares the pictures itself, from their own size; a walk over them
	// reads each once.
	p.Set, err = x.Set(split, folder.Options{Channels: c.info.Channels, CacheBytes: -1})
	return p, err
}

// ran is what lies beside a model file of the run that made it.
type ran struct {
	data   string // as in its settings
	record string
}

func (c *Classifier) run() (r ran) {
	run := checkpoint.Run{Dir: filepath.Dir(c.path)}
	var settings struct {
		Data string `yaml:"data"`
	}
	if !folder.IsPath(c.info.Dataset) || run.PickSettings(&settings) != nil {
		return r
	}
	return ran{settings.Data, run.Path(folder.RecordFile)}
}

// index is how the run divided the pictures at path, nil where it did not.
func (r ran) index(path string, classes []string) (*folder.Index, error) {
	was, err := os.Stat(r.data)
	if err != nil {
		return nil, nil
	}
	if is, err := os.Stat(path); err != nil || !os.SameFile(was, is) {
		return nil, nil
	}
	x, err := folder.ReadRecord(r.record, path, classes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return x, err
}

var _ data.Pictures = (*Photos)(nil)

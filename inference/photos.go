package inference

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/task"
)

// Photos is a set of the user's own images on which a model is evaluated.
type Photos struct {
	*folder.Set                  // labels are the model's, by the names of its classes
	Path        string           // of the folder or list
	All         bool             // the folder is not divided into parts: the set contains all of its images
	Skipped     []folder.Problem // files that cannot be read; they are not in the set
	Layout      []folder.Part    // the meaning of the folders; empty if the run's record has the division
	Notes       []string         // what the user may have meant otherwise; see folder.Index
	// Run says how the training run that made the model used these images. It is nil if
	// there is no record of the run beside the model's file.
	Run *RunCounts
}

// RunCounts counts images by how a training run used them. An image is identified by the
// content of its file; its name and folder do not matter.
type RunCounts struct {
	HeldOut   int `json:"held_out"`   // in the set: held out by the run, or given to it to test on
	New       int `json:"new"`        // in the set: unknown to the run
	TrainedOn int `json:"trained_on"` // in the set: used by the run for training
	LeftOut   int `json:"left_out"`   // used by the run for training, and therefore not in the set
}

// OpenPhotos opens a folder or a list of images, as folder.ScanAs reads it with the model's
// classes; some of the classes may have no images. split selects the part of the images.
//
// If path is the folder that the model was trained on, the set is the run's own part, as the
// record of the run beside the model's file says. Otherwise it is the folder's part, if the
// folder is divided into parts, or all of its images. In each case data.Test leaves out
// images that the run was trained on; of an undivided folder that contains images of the run,
// data.Train takes only those. Images are identified by their content, so this also works for
// renamed and moved files among new ones.
//
// An empty path means the images that the model was trained on. The images can be read until
// ctx ends.
func (c *Classifier) OpenPhotos(ctx context.Context, path string, split data.Split, progress func(done, total int)) (*Photos, error) {
	return c.OpenPhotosBy(ctx, path, split, folder.Options{}, progress)
}

// OpenPhotosBy is OpenPhotos with the limits MaxPixels and Memory of o.
func (c *Classifier) OpenPhotosBy(ctx context.Context, path string, split data.Split, o folder.Options, progress func(done, total int)) (*Photos, error) {
	// The classifier prepares the images itself, from their original size, and reads each
	// once, so a cache would not help.
	o = folder.Options{Channels: c.info.Channels, CacheBytes: -1, MaxPixels: o.MaxPixels, Memory: o.Memory, Context: ctx}
	if err := c.TakesImages(); err != nil {
		return nil, err
	}
	run := c.run()
	if path == "" {
		if path = run.data; path == "" {
			return nil, field.Errorf("%s was trained on %s, and the settings of its run are not beside it; name the folder of images with {Data}", c.path, c.info.Dataset)
		}
	}
	p := &Photos{Path: path}
	record, own, err := run.index(path, c)
	if err != nil {
		return nil, err
	}
	if own && o.MaxPixels == 0 {
		o.MaxPixels = run.mostPixels // the limit that accepted all images of the training
	}
	x := record
	if own = own && inPlace(record, split); own {
		n := record.Counts(split)
		p.Run = &RunCounts{}
		for _, of := range n {
			if split == data.Train {
				p.Run.TrainedOn += of
			} else {
				p.Run.HeldOut += of
			}
		}
	} else {
		if x, err = c.scan(ctx, path); err != nil {
			return nil, err
		}
		r, _, err := x.Check(ctx, o, progress)
		if err != nil {
			return nil, err
		}
		if x, _, err = x.Without(r, nil); err != nil {
			return nil, err
		}
		p.Skipped, p.Layout, p.Notes = r.Broken, r.Layout, r.Notes
		if err := p.divide(x, record, split); err != nil {
			return nil, err
		}
	}
	p.Set, err = x.Set(split, o)
	return p, err
}

// runFiles is what the files beside a model file say of the run that made it.
type runFiles struct {
	data       string // the folder or list that it was trained on, as in its settings
	mostPixels int64
	record     string // path of the record
}

func (c *Classifier) run() (r runFiles) {
	run := checkpoint.Run{Dir: filepath.Dir(c.path)}
	var settings struct {
		Data      string `yaml:"data"`
		MaxPixels int64  `yaml:"max_pixels"`
	}
	if !folder.IsPath(c.info.Dataset) || run.PickSettings(&settings) != nil {
		return r
	}
	return runFiles{settings.Data, settings.MaxPixels, run.Path(folder.RecordFile)}
}

// index returns how the run divided its images, or nil if there is no record, and whether
// path is the folder that the run was trained on.
func (r runFiles) index(path string, c *Classifier) (x *folder.Index, own bool, err error) {
	if r.record == "" {
		return nil, false, nil
	}
	if c.info.Task.Named() == task.Classes {
		x, err = folder.ReadRecord(r.record, path, c.info.Classes)
	} else {
		x, err = folder.ReadRecordOfTargets(r.record, path, c.columns())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	was, errWas := os.Stat(r.data)
	is, errIs := os.Stat(path)
	return x, errWas == nil && errIs == nil && os.SameFile(was, is), nil
}

// inPlace reports whether all images of a part still are where the record says, judging by
// the size of the files. Their content is compared when they are read.
func inPlace(x *folder.Index, part data.Split) bool {
	for _, it := range x.Items {
		if it.Split != part {
			continue
		}
		if st, err := os.Stat(it.Path); err != nil || st.Size() != it.Mark.Bytes {
			return false
		}
	}
	return true
}

// divide removes from x the images that do not belong to the set, considering how the run
// used them, and moves the others to part. record is nil if the run is not known.
func (p *Photos) divide(x, record *folder.Index, part data.Split) error {
	parts := map[string]data.Split{}
	if record != nil {
		parts, p.Run = record.Parts(), &RunCounts{}
	}
	theirs := slices.ContainsFunc(x.Items, func(it folder.Item) bool { return parts[it.Mark.SHA256] != "" })
	p.All = !x.Tested && !theirs
	asked := 0
	x.Items = slices.DeleteFunc(x.Items, func(it folder.Item) bool {
		if x.Tested && it.Split != part {
			return true
		}
		asked++
		switch was := parts[it.Mark.SHA256]; {
		case p.Run == nil:
		case part == data.Train && !x.Tested && theirs && was != data.Train:
			return true
		case was == data.Train && part == data.Test:
			p.Run.LeftOut++
			return true
		case was == data.Train:
			p.Run.TrainedOn++
		case was == data.Test:
			p.Run.HeldOut++
		default:
			p.Run.New++
		}
		return false
	})
	for i := range x.Items {
		x.Items[i].Split = part
	}
	if len(x.Items) == 0 && p.Run != nil && p.Run.LeftOut > 0 {
		return fmt.Errorf("images: the model was trained on all %d of %s; measure it on others, or ask for the part train to see how well it knows these", asked, p.Path)
	}
	return nil
}

var (
	_ data.Images   = (*Photos)(nil)
	_ data.Targeted = (*Photos)(nil)
)

// columns returns the columns of a list that have what the model answers with.
func (c *Classifier) columns() folder.Columns {
	return folder.Columns{Task: c.info.Task.Named(), Known: c.info.Names()}
}

// scan lists images with the model's classes, labels or values.
func (c *Classifier) scan(ctx context.Context, path string) (*folder.Index, error) {
	if c.info.Task.Named() == task.Classes {
		return folder.ScanAsContext(ctx, path, c.info.Classes)
	}
	return folder.ScanTargets(ctx, path, c.columns())
}

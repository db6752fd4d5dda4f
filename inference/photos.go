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
)

// Photos are pictures of a user's own to evaluate a model on.
type Photos struct {
	*folder.Set                  // labels are the model's, by the names of its classes
	Path        string           // of the folder or list
	All         bool             // nobody divided it: these are all of its pictures
	Skipped     []folder.Problem // that cannot be read; they are not in the set
	Layout      []folder.Part    // what folders were taken for; none where the run's record has the division
	Notes       []string         // what the user may have meant otherwise; see folder.Index
	// Run says what the run that made the model had of these pictures. It is nil where that is
	// not known, for no record of the run lies beside the model's file.
	Run *RunCounts
}

// RunCounts divides pictures by what a run did with files of their content, whatever they
// were called and wherever they lay.
type RunCounts struct {
	HeldOut   int `json:"held_out"`   // it held out or was told to test on, in the set
	New       int `json:"new"`        // it did not have, in the set
	TrainedOn int `json:"trained_on"` // it was trained on, in the set
	LeftOut   int `json:"left_out"`   // it was trained on, and which are for that reason not in the set
}

// OpenPhotos opens a folder or a list of pictures, as folder.ScanAs reads it with the
// model's classes: one that lacks some of them is as good as any. Where nobody divided
// the pictures and they are those that the model was trained on, which the file of its
// run beside it tells, the part is the run's, and else they are all taken. Pictures are
// known by their content: of a folder that holds some of the run's, under other names and
// among new ones too, data.Test is what the run was not trained on, and data.Train what it
// was. An empty path means what the model was trained on. The pictures can be read until ctx
// ends.
func (c *Classifier) OpenPhotos(ctx context.Context, path string, split data.Split, progress func(done, total int)) (*Photos, error) {
	return c.OpenPhotosBy(ctx, path, split, folder.Options{}, progress)
}

// OpenPhotosBy is OpenPhotos with limits of the caller's own: of o it takes MostPixels and
// Memory.
func (c *Classifier) OpenPhotosBy(ctx context.Context, path string, split data.Split, o folder.Options, progress func(done, total int)) (*Photos, error) {
	// The classifier prepares the pictures itself, from their own size; a walk over them
	// reads each once.
	o = folder.Options{Channels: c.info.Channels, CacheBytes: -1, MaxPixels: o.MaxPixels, Memory: o.Memory, Context: ctx}
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
	record, own, err := run.index(path, c.info.Classes)
	if err != nil {
		return nil, err
	}
	if own && o.MaxPixels == 0 {
		o.MaxPixels = run.mostPixels // which let in what it was trained on
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
		if x, err = folder.ScanAsContext(ctx, path, c.info.Classes); err != nil {
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

// ran is what lies beside a model file of the run that made it.
type ran struct {
	data       string // as in its settings
	mostPixels int64
	record     string
}

func (c *Classifier) run() (r ran) {
	run := checkpoint.Run{Dir: filepath.Dir(c.path)}
	var settings struct {
		Data       string `yaml:"data"`
		MostPixels int64  `yaml:"max_pixels"`
	}
	if !folder.IsPath(c.info.Dataset) || run.PickSettings(&settings) != nil {
		return r
	}
	return ran{settings.Data, settings.MostPixels, run.Path(folder.RecordFile)}
}

// index is how the run divided its pictures, nil where no record says so, and whether
// they are those at path.
func (r ran) index(path string, classes []string) (x *folder.Index, own bool, err error) {
	if r.record == "" {
		return nil, false, nil
	}
	x, err = folder.ReadRecord(r.record, path, classes)
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

// inPlace says whether the pictures of a part lie where the record has them, as far as can
// be told without reading them. Their content is compared when they are read.
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

// divide leaves in x the pictures that are to be in the set, all in that part, by what the
// run had of them. record is nil where that is not known.
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
		return fmt.Errorf("pictures: the model was trained on all %d of %s; measure it on others, or ask for the part train to see how well it knows these", asked, p.Path)
	}
	return nil
}

var _ data.Images = (*Photos)(nil)

package train

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/data/photo"
)

// SkippedFile is a file in the folder of a run on a user's own images, beside
// folder.RecordFile. It lists the images that cannot be read, and why. It exists only if there
// are any.
const SkippedFile = "skipped.csv"

// CheckingImages is what Callbacks.OnData is told while a user's own images are read for the
// first time; done and total are numbers of images.
const CheckingImages = "checking images"

// Photos describes what a training found in a user's own images.
type Photos struct {
	Index     *folder.Index  // of the images to train and test on
	Report    *folder.Report // of all images; nil for a resumed run, which does not read them again
	Untested  []string       // classes without test images: the test accuracy does not cover them
	Untrained []string       // classes without training images
	ChosenFor int            // number of training images by which settings were chosen; 0 if all were given, or a budget chose them
	SizedFor  int            // median of the shorter sides of the images, in pixels, by which Config.Resize was chosen; 0 if it was given

	// Cache has the decoded images. It is nil if Preparation.Cache is off, or if the user's
	// cache folder cannot be used: CacheError then says why.
	Cache      *folder.ImageCache
	CacheError error

	memory *photo.Budget // shared by everything that reads the images
}

// recorded says where a resumed run has its record of the images, and the names of its
// classes, labels or values.
type recorded struct {
	path  string
	names []string
}

// openPhotos finds a user's own images, reads each once, leaves out those that cannot be read
// and holds some out to test on. If the run is resumed it takes them from the run's record.
func (p plan) openPhotos(ctx context.Context, resumed *recorded, progress func(done, total int64, what string)) (train, test data.Dataset, photos *Photos, err error) {
	photos = &Photos{ChosenFor: p.chosenFor, SizedFor: p.sizedFor, memory: photo.NewBudget(0)}
	if resumed != nil {
		err = photos.again(ctx, p, *resumed, progress)
	} else {
		err = photos.find(ctx, p, progress)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	train, test, err = photos.parts(ctx, p)
	return train, test, photos, err
}

// parts returns the images in the size that the plan has.
func (f *Photos) parts(ctx context.Context, p plan) (train, test data.Dataset, err error) {
	o := p.photoOptions()
	if f.Cache != nil && !f.Cache.Fits(o) { // a budget chose another size
		if err := f.openCache(ctx, p); err != nil {
			return nil, nil, err
		}
	}
	o.Cache, o.MaxImages, o.Memory, o.Context = f.Cache, p.TrainSize, f.memory, ctx
	trained, err := f.Index.Set(data.Train, o)
	if err != nil {
		return nil, nil, err
	}
	o.Shrink, o.MaxImages = 0, p.TestSize // test images are not shrunk, since predict does not shrink
	tested, err := f.Index.Set(data.Test, o)
	if err != nil {
		return nil, nil, err
	}
	if p.ofClasses() {
		f.Untrained, f.Untested = trained.Lacking(), tested.Lacking()
	}
	return trained, tested, nil
}

// openCache sets Cache and CacheError.
func (f *Photos) openCache(ctx context.Context, p plan) (err error) {
	f.Cache, f.CacheError, err = p.openCache(ctx, f.Index)
	return err
}

// again takes the images from the record of the run.
func (f *Photos) again(ctx context.Context, p plan, r recorded, progress func(done, total int64, what string)) (err error) {
	if f.Index, err = p.recordOf(r); err != nil {
		return err
	}
	if err := f.openCache(ctx, p); err != nil {
		return err
	}
	f.Cache.Identify(f.Index)
	if err := f.same(ctx, p.Data); err != nil || !p.completes(f.Cache, f.Index) {
		return err
	}
	_, _, err = f.check(ctx, p, progress)
	return err
}

// same returns an error unless the images of the record exist, under the same names or, with
// the same content and class, in other places.
func (f *Photos) same(ctx context.Context, path string) error {
	changes, err := f.Index.Changed(ctx)
	if err != nil || len(changes) == 0 {
		return err
	}
	missing, err := f.Index.Relocate(ctx, path)
	if ctx.Err() != nil || err == nil && len(missing) == 0 {
		return ctx.Err()
	}
	if err != nil || len(changes) <= len(missing) {
		missing = changes // these images were not moved, so the changes say better what is wrong
	}
	return changed(missing, nil)
}

// check reads every image that is not in the cache.
func (f *Photos) check(ctx context.Context, p plan, progress func(done, total int64, what string)) (*folder.Report, []int, error) {
	var tell func(done, total int)
	if progress != nil {
		tell = func(done, total int) { progress(int64(done), int64(total), CheckingImages) }
	}
	o := p.photoOptions()
	o.Cache, o.Memory = f.Cache, f.memory
	return f.Index.Check(ctx, o, tell)
}

// find scans the folder, reads the images and divides them into two parts.
func (f *Photos) find(ctx context.Context, p plan, progress func(done, total int64, what string)) error {
	x, err := p.scan(ctx)
	if err != nil {
		return err
	}
	if m, ok := p.described(); ok && p.ofClasses() && sameNames(m.Classes, x.Classes) {
		x = x.Ordered(m.Classes) // the order in the last layer of the first weights
	}
	f.Index = x
	if err := f.openCache(ctx, p); err != nil {
		return err
	}
	r, groups, err := f.check(ctx, p, progress)
	if err != nil {
		return err
	}
	f.Report = r
	if x, groups, err = x.Without(r, groups); err != nil {
		return err
	}
	if err := x.Holdout(p.Holdout, p.HoldoutSeed, groups); err != nil {
		return err
	}
	f.Index = x
	return nil
}

// sameNames reports whether two lists have the same names, in any order.
func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// record writes which images the run has, and which it left out. A resumed run has these
// files already.
func (f *Photos) record(run *checkpoint.Run) error {
	if f == nil || f.Report == nil {
		return nil
	}
	if err := checkpoint.WriteFile(run.Path(folder.RecordFile), f.Index.Write); err != nil || len(f.Report.Broken) == 0 {
		return err
	}
	return checkpoint.WriteFile(run.Path(SkippedFile), func(w io.Writer) error {
		c := csv.NewWriter(w)
		rows := [][]string{{"path", "error"}}
		for _, b := range f.Report.Broken {
			rows = append(rows, []string{b.Name, b.Error})
		}
		return c.WriteAll(rows)
	})
}

// unchanged returns an error if an image or a label has changed since the run began: the
// epoch would mix the old with the new, and no run could reproduce its bits. If ctx ends,
// unchanged returns nil, since a resumed run compares everything.
func (f *Photos) unchanged(ctx context.Context) error {
	if f == nil {
		return nil
	}
	changes, err := f.Index.ChangedMeanwhile(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return changed(changes, err)
}

// changed returns an error that names a few of the changes, if there are any.
func changed(changes []string, err error) error {
	if err != nil || len(changes) == 0 {
		return err
	}
	const few = 3
	text := strings.Join(changes[:min(few, len(changes))], "; ")
	if more := len(changes) - few; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return fmt.Errorf("the images are not those that the run began with: %s; put them back to resume it, or start a new run", text)
}

// recordOf reads the images in the record of a run, with their targets.
func (c Config) recordOf(r recorded) (*folder.Index, error) {
	if c.ofClasses() {
		return folder.ReadRecord(r.path, c.Data, r.names)
	}
	of := c.columns()
	of.Known = r.names
	return folder.ReadRecordOfTargets(r.path, c.Data, of)
}

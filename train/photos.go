package train

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/prepare"
)

// SkippedFile, beside folder.RecordFile, is of the folder of a run on a user's own
// images: those that cannot be read, and why. It is there only when there are some.
const SkippedFile = "skipped.csv"

// CheckingPictures is what Callbacks.OnData hears of while a user's own images are
// read for the first time; done and total are images.
const CheckingPictures = "checking pictures"

// Photos says what a training found in a user's own images.
type Photos struct {
	Index     *folder.Index  // of those that are trained and tested on
	Report    *folder.Report // of all; nil when a run goes on, which reads them no more
	Untested  []string       // classes without test images: the test accuracy does not cover them
	Untrained []string       // classes without training images
	ChosenFor int            // pictures to train on that settle what was not given; 0 where all was, or a budget settled it
	// Pack has the decoded images; nil when Preparation.Cache is off, or when the user's
	// cache folder cannot be used: PackError then says why.
	Pack      *folder.ImageCache
	PackError error

	memory *photo.Budget // of all that reads them
}

// recorded is what a run that goes on has of its images.
type recorded struct {
	path    string
	classes []string
}

// openPhotos finds a user's own images, reads each once, leaves the broken ones out and
// holds some out to test on; or takes them as the record of the run has them.
func (p plan) openPhotos(ctx context.Context, goesOn *recorded, progress func(done, total int64, what string)) (train, test data.Dataset, photos *Photos, err error) {
	photos = &Photos{ChosenFor: p.chosenFor, memory: photo.NewBudget(0)}
	if goesOn != nil {
		err = photos.again(ctx, p, *goesOn, progress)
	} else {
		err = photos.find(ctx, p, progress)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	train, test, err = photos.parts(ctx, p)
	return train, test, photos, err
}

// parts are the images as the plan wants them.
func (f *Photos) parts(ctx context.Context, p plan) (train, test data.Dataset, err error) {
	o := p.photoOptions()
	if f.Pack != nil && !f.Pack.Fits(o) { // a budget chose another size
		if err := p.openPack(ctx, f); err != nil {
			return nil, nil, err
		}
	}
	o.Cache, o.MaxImages, o.Memory, o.Context = f.Pack, p.TrainSize, f.memory, ctx
	trained, err := f.Index.Set(data.Train, o)
	if err != nil {
		return nil, nil, err
	}
	o.Shrink, o.MaxImages = 0, p.TestSize // what is tested on is not shrunk, as predict does not shrink
	tested, err := f.Index.Set(data.Test, o)
	if err != nil {
		return nil, nil, err
	}
	f.Untrained, f.Untested = trained.Lacking(), tested.Lacking()
	return trained, tested, nil
}

// again takes the images as the record of the run has them.
func (f *Photos) again(ctx context.Context, p plan, r recorded, progress func(done, total int64, what string)) (err error) {
	if f.Index, err = folder.ReadRecord(r.path, p.Data, r.classes); err != nil {
		return err
	}
	if err := p.openPack(ctx, f); err != nil {
		return err
	}
	f.Pack.Identify(f.Index)
	if err := f.same(ctx, p.Data); err != nil || !p.completes(f) {
		return err
	}
	_, _, err = f.check(ctx, p, progress)
	return err
}

// same is an error unless the images of the record are there: under the names that they
// had, or in other places with the same content and classes.
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
		missing = changes // they lie where they were, and say better what is wrong
	}
	return changed(missing, nil)
}

// check reads every image that is not in the pack.
func (f *Photos) check(ctx context.Context, p plan, progress func(done, total int64, what string)) (*folder.Report, []int, error) {
	var tell func(done, total int)
	if progress != nil {
		tell = func(done, total int) { progress(int64(done), int64(total), CheckingPictures) }
	}
	o := p.photoOptions()
	o.Cache, o.Memory = f.Pack, f.memory
	return f.Index.Check(ctx, o, tell)
}

// find scans, checks and divides.
func (f *Photos) find(ctx context.Context, p plan, progress func(done, total int64, what string)) error {
	x, err := folder.ScanContext(ctx, p.Data)
	if err != nil {
		return err
	}
	if m, ok := p.fileModel(); ok && sameNames(m.Classes, x.Classes) {
		x = x.Ordered(m.Classes) // the last layer of the first weights knows them so
	}
	f.Index = x
	if err := p.openPack(ctx, f); err != nil {
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

// sameNames compares classes, whatever their order.
func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// record writes which images the run has, and which it left out. A run that goes on
// has that already.
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

// unchanged is an error when an image or a label is not what it was when the run
// began: an epoch of both would be of neither, and no run could be made again to the
// same bits. A run that is told to end does not wait for it: when it goes on all is compared.
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

// changed is an error that names a few of the changes, if there are any.
func changed(changes []string, err error) error {
	if err != nil || len(changes) == 0 {
		return err
	}
	const few = 3
	text := strings.Join(changes[:min(few, len(changes))], "; ")
	if more := len(changes) - few; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return fmt.Errorf("the images are not those that the run began with: %s; put them back to go on with it, or start a new run", text)
}

// dataset is what a model file calls the data: for a user's own images the last part
// of the path, which a slash or an ending tells from the name of a data set.
func (c Config) dataset() string {
	if !c.IsPhotos() {
		return c.Data
	}
	if folder.IsList(c.Data) {
		return filepath.Base(c.Data)
	}
	return filepath.Base(c.Data) + "/"
}

// input is the model's input and how images become it: the one place where the settings
// of a training become that.
func (c Config) input(native data.Info) prepare.Input {
	in := prepare.Input{Channels: native.Channels, Height: c.Resize, Width: c.Resize, Preprocess: c.steps()}
	p := &in.Preprocess
	p.Grey = native.Channels == 1
	if !c.IsPhotos() { // of which a data set with a name has no settings
		p.ResizeShorter, p.Interpolation = 0, ""
		p.NativeHeight, p.NativeWidth, p.Resize = native.Height, native.Width, c.Resize
	}
	return in
}

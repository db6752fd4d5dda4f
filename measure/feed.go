package measure

import (
	"cmp"
	"context"
	"errors"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference/forward"
)

// FeedNone leaves the batch of the first step on the device.
func (w *Workload) FeedNone() { w.feed, w.next = FeedNone, nil }

// FeedLoader feeds the images of ds, resized to the model's input, by a loader as in training.
// name is what the Result calls ds. It returns a *ConfigError for a data set that does not
// suit the model.
func (w *Workload) FeedLoader(ctx context.Context, ds data.Dataset, name string) error {
	in, e, shape := ds.Info(), w.config.Model, w.images.Shape
	if in.Channels != shape[1] || len(in.Classes) > e.Classes {
		return wrong("Data", "%s has images of %d channels in %d classes, and %s takes %d channels and has %d classes; choose another data set or model",
			name, in.Channels, len(in.Classes), e.Name, shape[1], e.Classes)
	}
	if shape[2] != shape[3] {
		return wrong("Size", "%s takes images of %dx%d, and the loader resizes to squares; choose another size", e.Name, shape[2], shape[3])
	}
	if err := w.fits(ds); err != nil {
		return err
	}
	resized, uint8s := data.Resize(ds, shape[2]), engine.TakesUint8(w.program.Device())
	return w.feedBy(ctx, FeedLoader, name, func(workers int) (*data.Loader, error) {
		return data.NewLoader(resized, data.LoaderConfig{Batch: w.config.Batch, Shuffle: true, DropLast: true, Workers: workers, Uint8: uint8s})
	})
}

// FeedPhotos feeds the images in the folder or list at path, which a loader decodes, crops and
// resizes as in training. An empty path stands for images that are generated in a temporary
// folder, which Close removes. FeedPhotos returns a *ConfigError for a model that does not take
// square colour images, and for fewer images than a batch has. An image of more than maxPixels
// is an error; 0 stands for the limit of package data/folder.
func (w *Workload) FeedPhotos(ctx context.Context, path string, maxPixels int64) error {
	e, shape := w.config.Model, w.images.Shape
	if shape[1] != 3 || shape[2] != shape[3] {
		return wrong("Model", "%s takes images of %dx%dx%d; choose a model of square colour images, such as resnet18", e.Name, shape[1], shape[2], shape[3])
	}
	set, remove, err := openPhotos(ctx, path, shape[2], maxPixels)
	if err != nil {
		return err
	}
	w.close = append(w.close, remove)
	if err := w.fits(set); err != nil {
		return err
	}
	uint8s := engine.TakesUint8(w.program.Device())
	return w.feedBy(ctx, FeedPhotos, cmp.Or(path, DrawnPhotos), func(workers int) (*data.Loader, error) {
		return photoLoader(set, w.config.Batch, workers, uint8s)
	})
}

// fits returns an error for a data set that does not fill a batch.
func (w *Workload) fits(ds data.Dataset) error {
	if w.config.Batch > ds.Len() {
		return wrong("Batch", "a batch of %d images is more than the %d that there are; choose a smaller batch or more images", w.config.Batch, ds.Len())
	}
	return nil
}

// feedBy feeds the steps from the loader that open returns. The argument of open is the number
// of goroutines that prepare batches; 0 stands for the number of cores.
func (w *Workload) feedBy(ctx context.Context, feed Feed, name string, open func(workers int) (*data.Loader, error)) error {
	l, err := open(0)
	if err != nil {
		return err
	}
	f := &loaderFeed{w: w, batches: batches{ctx: ctx, loader: l}}
	if s := l.Stored(); s != nil {
		f.uint8s = w.program.Images(w.images, forward.StoredImages(s))
	}
	w.feed, w.source, w.next = feed, name, f.next
	w.alone = func() (*data.Loader, error) { return open(1) }
	w.close = append([]func(){f.batches.close}, w.close...) // before the images are removed
	return nil
}

// loaderFeed feeds a Workload from a loader, one epoch after the other. A device that takes
// uint8 batches receives the next batch while it computes.
type loaderFeed struct {
	batches
	w      *Workload
	uint8s engine.Feed // nil if batches are float32
	ahead  *data.Batch // the uint8 batch that was sent for the next step
	err    error       // error of loading or sending ahead
}

// next feeds the batch of a step.
func (f *loaderFeed) next() error {
	if f.uint8s == nil {
		b, err := f.batches.next()
		if err != nil {
			return err
		}
		defer b.Release()
		return errors.Join(f.w.program.Feed(f.w.images, b.Images), f.w.feedLabels(b.Labels))
	}
	if f.ahead == nil {
		f.send()
	}
	b, err := f.ahead, f.err
	if err != nil {
		return err
	}
	f.ahead = nil
	defer b.Release()
	f.uint8s.Use()
	f.w.meanwhile = f.send
	return f.w.feedLabels(b.Labels)
}

// send takes the next uint8 batch from the loader and starts its copy to the device.
func (f *loaderFeed) send() {
	if f.ahead, f.err = f.batches.next(); f.err == nil {
		f.uint8s.Send(f.ahead.Pixels)
	}
}

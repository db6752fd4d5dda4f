package main

import (
	"context"
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/models"
)

// The ways a batch comes to a step.
const (
	feedMemory = "memory" // the same batch again, from the host's memory
	feedLoader = "loader" // a new one from the loader, as in training
	feedPhotos = "photos" // a new one of JPEG photos, decoded
	feedNone   = "none"   // the batch stays on the device
)

// modeLoad measures the loader without a model.
const modeLoad = "load"

// loaded feeds a workload from the loader, one epoch after the other.
type loaded struct {
	ctx    context.Context
	w      *workload
	loader *data.Loader
	epoch  int
	walk   *data.Epoch

	pictures engine.Feed // nil where batches are images
	ahead    *data.Batch // on its way, as bytes
	err      error       // of ahead
}

// begin opens the loader's first epoch, and the way to a device that takes bytes.
func (l *loaded) begin() {
	l.walk = l.loader.Epoch(l.ctx, 0)
	if s := l.loader.Stored(); s != nil {
		l.pictures = l.w.Images(l.w.x, inference.StoredImages(s))
	}
}

// feedBy opens what --feed asks for. The function it returns ends it.
func (f *benchFlags) feedBy(ctx context.Context, w *workload, e models.Entry) (func(), error) {
	switch f.feed {
	case feedNone:
		w.next = nil
	case feedPhotos:
		if w.x.Shape[1] != 3 || w.x.Shape[2] != w.x.Shape[3] {
			return nil, usagef("--feed photos: %s takes images of %dx%dx%d; choose a model of square colour images, such as resnet18", e.Name, w.x.Shape[1], w.x.Shape[2], w.x.Shape[3])
		}
		ds, done, err := f.photosOf(ctx, w.x.Shape[2])
		if err != nil {
			return nil, err
		}
		if f.batch > ds.Len() {
			done()
			return nil, usagef("--batch %d: there are %d photos; choose a smaller --batch, or more --photos", f.batch, ds.Len())
		}
		l := &loaded{ctx: ctx, w: w}
		if l.loader, err = photoLoader(ds, f.batch, 0, engine.TakesUint8(w.Device())); err != nil {
			done()
			return nil, err
		}
		l.begin()
		w.next, w.alone = l.next, func() (*data.Loader, error) { return photoLoader(ds, f.batch, 1, engine.TakesUint8(w.Device())) }
		return func() { l.walk.Close(); done() }, nil
	case feedLoader:
		ds, err := f.open(ctx, w, e)
		if err != nil {
			return nil, err
		}
		l := &loaded{ctx: ctx, w: w}
		if l.loader, err = data.NewLoader(ds, data.LoaderConfig{Batch: f.batch, Shuffle: true, DropLast: true, Bytes: engine.TakesUint8(w.Device())}); err != nil {
			return nil, err
		}
		l.begin()
		w.next, w.alone = l.next, func() (*data.Loader, error) {
			return data.NewLoader(ds, data.LoaderConfig{Batch: f.batch, Shuffle: true, DropLast: true, Workers: 1, Bytes: engine.TakesUint8(w.Device())})
		}
		return func() { l.walk.Close() }, nil
	}
	return func() {}, nil
}

// open is the data set as the network wants it: resized to the input's sides.
func (f *benchFlags) open(ctx context.Context, w *workload, e models.Entry) (data.Dataset, error) {
	if err := knownData(f.data); err != nil {
		return nil, err
	}
	// A measurement does not wait for a download.
	ds, err := data.Open(ctx, f.data, data.Options{Dir: f.dir, Offline: true})
	if err != nil {
		return nil, err
	}
	if in := ds.Info(); in.Channels != w.x.Shape[1] || len(in.Classes) > e.Classes {
		return nil, usagef("--data %s: its pictures have %d channels and %d classes, and %s takes %d and %d; choose another --data or --model",
			f.data, in.Channels, len(in.Classes), e.Name, w.x.Shape[1], e.Classes)
	}
	if w.x.Shape[2] != w.x.Shape[3] {
		return nil, usagef("--feed loader: %s takes images of %dx%d, and the loader makes squares; choose another --resize", e.Name, w.x.Shape[2], w.x.Shape[3])
	}
	return data.Resize(ds, w.x.Shape[2]), nil
}

// next feeds the next batch. One of bytes is on its way since the step before.
func (l *loaded) next() error {
	if l.pictures == nil {
		b, err := l.batch()
		if err != nil {
			return err
		}
		defer b.Release()
		return errors.Join(l.w.Feed(l.w.x, b.Images), l.answers(b))
	}
	if l.ahead == nil {
		l.send()
	}
	b, err := l.ahead, l.err
	if err != nil {
		return err
	}
	l.ahead = nil
	defer b.Release()
	l.pictures.Use()
	l.w.meanwhile = l.send
	return l.answers(b)
}

// answers feeds the labels, where these are trained on.
func (l *loaded) answers(b *data.Batch) error {
	if !l.w.train {
		return nil
	}
	return l.w.Feed(l.w.labels, b.Labels)
}

// batch takes the next batch from the loader.
func (l *loaded) batch() (*data.Batch, error) {
	b, err := l.walk.Next()
	if errors.Is(err, io.EOF) {
		l.epoch++
		l.walk = l.loader.Epoch(l.ctx, l.epoch)
		b, err = l.walk.Next()
	}
	return b, err
}

// send puts the next batch on its way to the device.
func (l *loaded) send() {
	if l.ahead, l.err = l.batch(); l.err == nil {
		l.pictures.Send(l.ahead.Pixels)
	}
}

// loaderAlone is how many images a second one core prepares when nothing else
// runs: opening or decoding, resizing and scaling, in batches of the given size.
func loaderAlone(ctx context.Context, open func() (*data.Loader, error)) (float64, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	loader, err := open()
	if err != nil {
		return 0, err
	}
	w := &walk{ctx: ctx, loader: loader}
	defer w.close()
	const atLeast = time.Second
	images, start := 0, time.Now()
	for {
		n, err := w.next()
		if err != nil {
			return 0, err
		}
		images += n
		if took := time.Since(start); took > atLeast {
			return float64(images) / took.Seconds(), nil
		}
	}
}

// fedFrom names the data set the loader reads, if it does.
func (f *benchFlags) fedFrom() string {
	switch f.feed {
	case feedLoader:
		return f.data
	case feedPhotos:
		if f.photos == "" {
			return "drawn photos of 500x375"
		}
		return f.photos
	}
	return ""
}

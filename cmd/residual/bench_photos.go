package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/report"
)

// photoSize is the side that photos are prepared at unless --resize says otherwise.
const photoSize = 224

// loadResult is what bench --mode load --json prints.
type loadResult struct {
	Mode               string    `json:"mode"`
	Photos             int       `json:"photos"`
	Size               int       `json:"size"`
	Threads            int       `json:"threads"` // always 1
	ImagesPerSecond    float64   `json:"images_per_second"`
	ImagesPerSecondMin float64   `json:"images_per_second_min"`
	ImagesPerSecondMax float64   `json:"images_per_second_max"`
	Measurements       []float64 `json:"measurements"`
}

// photosOf opens the pictures of --photos, or draws some; the function it returns takes
// these away again. Nothing decoded is kept, so that every picture is decoded every time.
func (f *benchFlags) photosOf(ctx context.Context, size int) (*folder.Set, func(), error) {
	dir, done := f.photos, func() {}
	if dir == "" {
		made, err := os.MkdirTemp("", "residual-photos")
		if err != nil {
			return nil, nil, err
		}
		dir, done = made, func() { os.RemoveAll(made) }
		if err := folder.MakePhotos(ctx, dir, folder.PhotoConfig{Count: 64}); err != nil {
			done()
			return nil, nil, err
		}
	}
	x, err := folder.ScanContext(ctx, dir)
	if err == nil {
		for i := range x.Items {
			x.Items[i].Split = data.Train
		}
		var set *folder.Set
		if set, err = x.Set(data.Train, folder.Options{Size: size, CacheBytes: -1, MaxPixels: f.pixels, Context: ctx}); err == nil {
			return set, done, nil
		}
	}
	done()
	return nil, nil, err
}

// photoLoader prepares photos as torchvision's recipe for ImageNet does.
func photoLoader(ds data.Dataset, batch, workers int, bytes bool) (*data.Loader, error) {
	return data.NewLoader(ds, data.LoaderConfig{
		Batch: min(batch, ds.Len()), Shuffle: true, DropLast: true, Workers: workers, Normalize: transforms.ImageNet(), Bytes: bytes,
		Transform: transforms.Compose{transforms.RandomResizedCrop{Size: ds.Info().Height}, transforms.RandomHorizontalFlip{}},
	})
}

// load is bench --mode load: how many photos a second one core prepares.
func (f *benchFlags) load(ctx context.Context, cmd *cobra.Command) error {
	size := f.resize
	if size == 0 {
		size = photoSize
	}
	ds, done, err := f.photosOf(ctx, size)
	if err != nil {
		return err
	}
	defer done()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const batch = 16
	loader, err := photoLoader(ds, batch, 1, false)
	if err != nil {
		return err
	}
	walk := &walk{ctx: ctx, loader: loader}
	defer walk.close()
	r := &loadResult{Mode: f.mode, Photos: ds.Len(), Size: size, Threads: 1}
	for range f.warmup {
		if _, err := walk.next(); err != nil {
			return err
		}
	}
	const atLeast, fewest = 200 * time.Millisecond, 64
	for range f.repeat {
		start, images := time.Now(), 0
		for images < fewest || time.Since(start) < atLeast {
			n, err := walk.next()
			if err != nil {
				return err
			}
			images += n
		}
		r.Measurements = append(r.Measurements, float64(images)/time.Since(start).Seconds())
	}
	r.ImagesPerSecond, r.ImagesPerSecondMin, r.ImagesPerSecondMax = median(r.Measurements), slices.Min(r.Measurements), slices.Max(r.Measurements)
	if f.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	printf(cmd, "%s photos, decoded, cut at random, resized to %dx%d, mirrored at random and normalised, on one core\n\n", report.Count(int64(r.Photos)), size, size)
	t := report.NewTable(report.Column{}, report.Column{Align: report.Right}, report.Column{})
	t.Row("images/s", rate(r.ImagesPerSecond), fmt.Sprintf("median of %d, from %s to %s", f.repeat, rate(r.ImagesPerSecondMin), rate(r.ImagesPerSecondMax)))
	return t.Write(cmd.OutOrStdout())
}

// walk goes through a loader, one epoch after the other.
type walk struct {
	ctx    context.Context
	loader *data.Loader
	epoch  int
	now    *data.Epoch
}

// next prepares a batch and returns how many images it has.
func (w *walk) next() (int, error) {
	if w.now == nil {
		w.now = w.loader.Epoch(w.ctx, w.epoch)
	}
	b, err := w.now.Next()
	if errors.Is(err, io.EOF) {
		w.epoch++
		w.now = w.loader.Epoch(w.ctx, w.epoch)
		b, err = w.now.Next()
	}
	if err != nil {
		return 0, err
	}
	defer b.Release()
	return len(b.Indices), nil
}

func (w *walk) close() {
	if w.now != nil {
		w.now.Close()
	}
}

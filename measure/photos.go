package measure

import (
	"cmp"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
)

// PhotosConfig says how the preparation of photos is measured.
type PhotosConfig struct {
	Path      string // a folder with a folder for each class, or a list; empty: 64 photos are drawn
	MaxPixels int64  // a photo of more is refused; 0 is the limit of package data/folder
	Size      int    // height and width in pixels that they are prepared at; 0 is 224
	Repeat    int    // measurements, of which the median counts; at least one is taken
	Warmup    int    // batches before the first measurement
}

// PhotosResult is how many photos a second one core prepares.
type PhotosResult struct {
	Mode               string    `json:"mode"` // always load
	Photos             int       `json:"photos"`
	Size               int       `json:"size"`
	Threads            int       `json:"threads"` // always 1
	ImagesPerSecond    float64   `json:"images_per_second"`
	ImagesPerSecondMin float64   `json:"images_per_second_min"`
	ImagesPerSecondMax float64   `json:"images_per_second_max"`
	Measurements       []float64 `json:"measurements"`
}

// Photos measures how fast the loader prepares photos without a model and on one core:
// decoded, cropped at random, resized, flipped at random and normalised. It sets GOMAXPROCS
// to 1 for the time that it takes.
func Photos(ctx context.Context, c PhotosConfig) (*PhotosResult, error) {
	size := cmp.Or(c.Size, 224)
	set, remove, err := openPhotos(ctx, c.Path, size, c.MaxPixels)
	if err != nil {
		return nil, err
	}
	defer remove()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	loader, err := photoLoader(set, min(16, set.Len()), 1, false)
	if err != nil {
		return nil, err
	}
	b := &batches{ctx: ctx, loader: loader}
	defer b.close()
	for range c.Warmup {
		if _, err := b.prepare(); err != nil {
			return nil, err
		}
	}
	r := &PhotosResult{Mode: "load", Photos: set.Len(), Size: size, Threads: 1}
	const fewest = 64
	for range max(1, c.Repeat) {
		start, images := time.Now(), 0
		for images < fewest || time.Since(start) < shortest {
			n, err := b.prepare()
			if err != nil {
				return nil, err
			}
			images += n
		}
		r.Measurements = append(r.Measurements, float64(images)/time.Since(start).Seconds())
	}
	r.ImagesPerSecond, r.ImagesPerSecondMin, r.ImagesPerSecondMax = median(r.Measurements), slices.Min(r.Measurements), slices.Max(r.Measurements)
	return r, nil
}

// photoLoader prepares photos as torchvision's recipe for ImageNet does.
func photoLoader(ds data.Dataset, batch, workers int, uint8s bool) (*data.Loader, error) {
	return data.NewLoader(ds, data.LoaderConfig{
		Batch: batch, Shuffle: true, DropLast: true, Workers: workers, Normalize: transforms.ImageNet(), Uint8: uint8s,
		Transform: transforms.Compose{transforms.RandomResizedCrop{Size: ds.Info().Height}, transforms.RandomHorizontalFlip{}},
	})
}

// loaderSpeed returns how many images a second one core prepares when nothing else runs.
func loaderSpeed(ctx context.Context, open func() (*data.Loader, error)) (float64, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	loader, err := open()
	if err != nil {
		return 0, err
	}
	b := &batches{ctx: ctx, loader: loader}
	defer b.close()
	images, start := 0, time.Now()
	for {
		n, err := b.prepare()
		if err != nil {
			return 0, err
		}
		images += n
		if took := time.Since(start); took > time.Second {
			return float64(images) / took.Seconds(), nil
		}
	}
}

// batches takes batches from a loader, one epoch after the other.
type batches struct {
	ctx    context.Context
	loader *data.Loader
	number int         // of the epoch
	epoch  *data.Epoch // nil before the first batch
}

// next returns the next batch, which the caller releases.
func (b *batches) next() (*data.Batch, error) {
	if b.epoch == nil {
		b.epoch = b.loader.Epoch(b.ctx, b.number)
	}
	batch, err := b.epoch.Next()
	if errors.Is(err, io.EOF) {
		b.number++
		b.epoch = b.loader.Epoch(b.ctx, b.number)
		batch, err = b.epoch.Next()
	}
	return batch, err
}

// prepare takes the next batch, releases it, and returns how many images it had.
func (b *batches) prepare() (int, error) {
	batch, err := b.next()
	if err != nil {
		return 0, err
	}
	defer batch.Release()
	return len(batch.Indices), nil
}

func (b *batches) close() {
	if b.epoch != nil {
		b.epoch.Close()
	}
}

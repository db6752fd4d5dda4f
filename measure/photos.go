package measure

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"time"
)

// PhotosConfig configures a measurement of how fast images are prepared from files.
type PhotosConfig struct {
	Path      string // a folder with one folder per class, or a list; empty: 64 images are generated
	MaxPixels int64  // a larger image is an error; 0: the limit of package data/folder
	Size      int    // height and width of the prepared images in pixels; 0: 224
	Repeat    int    // number of measurements, at least 1; the result is their median
	Warmup    int    // batches before the first measurement
}

// PhotosResult says how many images per second one core prepares from files.
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

// Photos measures how fast the loader prepares images from files on one core, without a model:
// it decodes them, crops and flips them at random, resizes and normalises them. Photos sets
// GOMAXPROCS to 1 while it runs.
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

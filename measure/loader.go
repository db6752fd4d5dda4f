package measure

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/data/transforms"
)

// photoLoader prepares images as in torchvision's recipe for ImageNet.
func photoLoader(ds data.Dataset, batch, workers int, uint8s bool) (*data.Loader, error) {
	return data.NewLoader(ds, data.LoaderConfig{
		Batch: batch, Shuffle: true, DropLast: true, Workers: workers, Normalize: transforms.ImageNet(), Uint8: uint8s,
		Transform: transforms.Compose{transforms.RandomResizedCrop{Size: ds.Info().Height}, transforms.RandomHorizontalFlip{}},
	})
}

// loaderSpeed returns how many images per second one core prepares while nothing else runs.
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
	number int         // number of the epoch
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

func (b *batches) close() {
	if b.epoch != nil {
		b.epoch.Close()
	}
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

// openPhotos opens the images at path, or generates some in a temporary folder, which the
// returned function removes. Without a cache every image is decoded in every epoch.
func openPhotos(ctx context.Context, path string, size int, maxPixels int64) (set *folder.Set, remove func(), err error) {
	remove = func() {}
	if path == "" {
		if path, err = os.MkdirTemp("", "residual-photos"); err != nil {
			return nil, nil, err
		}
		drawn := path
		remove = func() { os.RemoveAll(drawn) }
		if err = folder.MakePhotos(ctx, path, folder.PhotoConfig{Count: 64}); err != nil {
			remove()
			return nil, nil, err
		}
	}
	x, err := folder.ScanContext(ctx, path)
	if err == nil {
		for i := range x.Items {
			x.Items[i].Split = data.Train
		}
		set, err = x.Set(data.Train, folder.Options{Size: size, CacheBytes: -1, MaxPixels: maxPixels, Context: ctx})
	}
	if err != nil {
		remove()
		return nil, nil, err
	}
	return set, remove, nil
}

// DrawnPhotos is what a Result calls the photos that FeedPhotos draws.
const DrawnPhotos = "drawn photos of 500x375"

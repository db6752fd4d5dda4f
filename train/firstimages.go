package train

import (
	"context"
	"errors"
	"io"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// firstImages is the largest number of training images from which first weights follow.
const firstImages = 2048

// initFromImages sets the weights of a module that follow from training images: see
// nn.ImageInitialiser. The images are evenly spread over the set, as the module gets them but not
// augmented.
func (j *job) initFromImages(ctx context.Context, train data.Dataset) error {
	m, ok := j.module.(nn.ImageInitialiser)
	if !ok {
		return nil
	}
	n := min(train.Len(), firstImages)
	some := make([]int, n)
	for i := range some {
		some[i] = i * train.Len() / n
	}
	l, err := data.NewLoader(data.Resize(data.Subset(train, some), j.Resize), data.LoaderConfig{Batch: featuresBatch, Workers: j.Workers, Normalize: j.normalize()})
	if err != nil {
		return err
	}
	e := l.Epoch(ctx, 0)
	defer e.Close()
	var values []float32
	for {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			info := l.Info()
			m.InitFromImages(tensor.FromSlice(values, n, info.Channels, info.Height, info.Width))
			return nil
		}
		if err != nil {
			return err
		}
		values = append(values, b.Images.Data()...)
		b.Release()
	}
}

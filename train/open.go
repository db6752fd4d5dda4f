package train

import (
	"context"

	"github.com/residual-ml/residual/data"
)

// Open opens the images that Run would train and test on with c, in the size that they have
// before they are resized; test is nil if nothing is tested. progress is described in
// data.Options and at CheckingImages. A user's own images can be read until ctx ends.
func Open(ctx context.Context, c Config, progress func(done, total int64, what string)) (train, test data.Dataset, err error) {
	p, err := c.plan()
	if err != nil {
		return nil, nil, err
	}
	train, test, _, err = p.open(ctx, nil, progress)
	return train, test, err
}

// open returns the images in the data set's own size. resumed is not nil if the run has a
// record of them.
func (p plan) open(ctx context.Context, resumed *recorded, progress func(done, total int64, what string)) (train, test data.Dataset, photos *Photos, err error) {
	if train, test, photos, err = p.openSets(ctx, resumed, progress); err != nil {
		return nil, nil, nil, err
	}
	train, test, err = standardized(ctx, train, test)
	return train, test, photos, err
}

// openSets is open without the standardisation of values.
func (p plan) openSets(ctx context.Context, resumed *recorded, progress func(done, total int64, what string)) (train, test data.Dataset, photos *Photos, err error) {
	switch {
	case p.TrainSet != nil && p.TestSet != nil:
		return data.First(p.TrainSet, p.TrainSize), data.First(p.TestSet, p.TestSize), nil, nil
	case p.TrainSet != nil:
		return data.First(p.TrainSet, p.TrainSize), nil, nil, nil
	case p.IsPhotos():
		return p.openPhotos(ctx, resumed, progress)
	}
	part := func(split data.Split, size int) (data.Dataset, error) {
		o := data.Options{Dir: p.DataDir, Split: split, Offline: p.Offline, Size: size, Progress: progress}
		ds, err := data.Open(ctx, p.Data, o)
		if err != nil {
			return nil, err
		}
		return data.First(ds, size), nil
	}
	if train, err = part(data.Train, p.TrainSize); err != nil {
		return nil, nil, nil, err
	}
	test, err = part(data.Test, p.TestSize)
	return train, test, nil, err
}

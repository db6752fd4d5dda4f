package data

import (
	"context"
	"fmt"
)

// Described is a data set that tells of a picture without reading it.
type Described interface {
	Dataset
	// Describe returns the label of picture i and its name, such as its file's.
	Describe(i int) (label int, name string)
}

// Describe returns the name of picture i of ds, or of the data set that ds is a view of;
// "" where pictures have none.
func Describe(ds Dataset, i int) (name string) {
	if d, ok := base(ds).(Described); ok {
		_, name = d.Describe(i)
	}
	return name
}

// Labels lists the labels of ds. Where ds, or what it is a view of, is not Described it
// reads every picture. An error names the picture.
func Labels(ctx context.Context, ds Dataset) ([]int, error) {
	labels := make([]int, ds.Len())
	under := base(ds)
	described, ok := under.(Described)
	pix := make([]uint8, under.Info().Numel())
	for i := range labels {
		var err error
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case ok:
			labels[i], _ = described.Describe(i)
		default:
			labels[i], err = under.Get(i, pix)
		}
		if k := len(ds.Info().Classes); err == nil && (labels[i] < 0 || k > 0 && labels[i] >= k) {
			err = fmt.Errorf("label %d is outside 0..%d", labels[i], k-1)
		}
		if err != nil {
			return nil, fmt.Errorf("data set %s, picture %d: %w", ds.Info().Name, i, err)
		}
	}
	return labels, nil
}

// view is a data set with the pictures of another, by the same numbers.
type view interface{ under() Dataset }

func (f first) under() Dataset    { return f.Dataset }
func (v *resized) under() Dataset { return v.ds }
func (v *cropped) under() Dataset { return v.ds }

// base is the data set behind all views.
func base(ds Dataset) Dataset {
	for {
		v, ok := ds.(view)
		if !ok {
			return ds
		}
		ds = v.under()
	}
}

// Describe implements Described; pictures at hand have no names.
func (m *memory) Describe(i int) (label int, name string) { return int(m.labels[i]), "" }

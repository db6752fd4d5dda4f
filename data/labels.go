package data

import (
	"context"
	"fmt"
)

// Described is a data set that knows the label and the name of an image without reading it.
type Described interface {
	Dataset
	// Describe returns the label of image i and its name, such as the path of its file.
	Describe(i int) (label int, name string)
}

// Describe returns the name of image i of ds, or "" when images have no names. It looks
// through views.
func Describe(ds Dataset, i int) (name string) {
	if d, index, ok := As[Described](ds); ok {
		_, name = d.Describe(index(i))
	}
	return name
}

// Labels lists the labels of ds. When neither ds nor a data set behind it is Described, it
// reads every image of the innermost data set, which views have not resized. An error names
// the image.
func Labels(ctx context.Context, ds Dataset) ([]int, error) {
	labels := make([]int, ds.Len())
	described, index, ok := As[Described](ds)
	var under Dataset
	var pix []uint8
	if !ok {
		under, index = innermost(ds)
		pix = make([]uint8, under.Info().Numel())
	}
	for i := range labels {
		var err error
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case ok:
			labels[i], _ = described.Describe(index(i))
		default:
			labels[i], err = under.Get(index(i), pix)
		}
		if k := len(ds.Info().Classes); err == nil && (labels[i] < 0 || k > 0 && labels[i] >= k) {
			err = fmt.Errorf("label %d is outside 0..%d", labels[i], k-1)
		}
		if err != nil {
			return nil, fmt.Errorf("data set %s, image %d: %w", ds.Info().Name, i, err)
		}
	}
	return labels, nil
}

// Describe implements Described. Images in memory have no names.
func (m *memory) Describe(i int) (label int, name string) { return int(m.labels[i]), "" }

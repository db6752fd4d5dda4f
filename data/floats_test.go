package data

import (
	"context"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
)

// halves is a data set of numbers: image i has the numbers i/2 and -i.
type halves struct{ squares }

func (h halves) Info() Info {
	info := h.squares.Info()
	info.Channels, info.Height, info.Width = 2, 1, 1
	return info
}

func (h halves) Floats(i int, out []float32) (int, error) {
	out[0], out[1] = float32(i)/2, -float32(i)
	return i % 3, nil
}

// A loader puts numbers into its batches as they are, also for a device that takes uint8 images,
// and refuses settings for pixels.
func TestLoaderOfFloats(t *testing.T) {
	ds := halves{squares{n: 5}}
	l, err := NewLoader(ds, LoaderConfig{Batch: 3, Uint8: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []float32
	var labels []int64
	for b, err := range l.Epoch(context.Background(), 1).All() {
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(b.Images.Shape(), []int{len(b.Indices), 2, 1, 1}) {
			t.Errorf("a batch of shape %v", b.Images.Shape())
		}
		got, labels = append(got, b.Images.Data()...), append(labels, b.Labels.Ints()...)
	}
	if !slices.Equal(got, []float32{0, 0, 0.5, -1, 1, -2, 1.5, -3, 2, -4}) || !slices.Equal(labels, []int64{0, 1, 2, 0, 1}) {
		t.Errorf("%v of the classes %v", got, labels)
	}
	for _, c := range []LoaderConfig{
		{Batch: 3, Transform: transforms.RandomHorizontalFlip{}},
		{Batch: 3, Mix: transforms.Mixup{Alpha: 1}},
		{Batch: 3, Normalize: transforms.Normalize{Mean: []float64{0, 0}, Std: []float64{1, 1}}},
	} {
		if _, err := NewLoader(ds, c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

package data

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
)

// capable implements every optional interface that views must forward.
type capable struct {
	parted
	lent *atomic.Int64
}

func (a capable) Lend(i int, use func(m transforms.Image)) (int, error) {
	a.lent.Add(1)
	m, label, err := a.sized.Image(i)
	use(m)
	return label, err
}
func (a capable) Describe(i int) (int, string) { return i % 3, string(rune('a' + i)) }
func (a capable) Cached() (int, int64, int64)  { return 2, 720, 1000 }

// reversed is a view as a user may write it.
type reversed struct{ Dataset }

func (v reversed) Unwrap() Dataset { return v.Dataset }
func (v reversed) Index(i int) int { return v.Len() - 1 - i }
func (v reversed) Get(i int, pix []uint8) (int, error) {
	return v.Dataset.Get(v.Index(i), pix)
}

// Views, also of views, read parts of images, lend images, and know their names and the bytes
// of the cache.
func TestViewsForward(t *testing.T) {
	base := capable{parted{sized{augmentable(9)}, new(atomic.Int64), new(atomic.Int64)}, new(atomic.Int64)}
	crop := transforms.RandomResizedCrop{Height: 6, Width: 6}
	for name, v := range map[string]struct {
		ds    Dataset
		index []int // in base
	}{
		"first":    {First(base, 3), []int{0, 1, 2}},
		"subset":   {Subset(base, []int{8, 2, 2}), []int{8, 2, 2}},
		"reversed": {reversed{base}, []int{8, 7, 6, 5, 4, 3, 2, 1, 0}},
		"nested":   {First(Subset(Resize(reversed{base}, 6), []int{1, 8, 3}), 2), []int{7, 0}},
	} {
		ds := Resize(v.ds, 6)
		for i, j := range v.index {
			want, _, _ := base.sized.Image(j)
			base.lent.Store(0)
			label, err := Lend(ds, i, func(m transforms.Image) {
				if !slices.Equal(m.Pix, want.Pix) {
					t.Errorf("%s: image %d is not image %d", name, i, j)
				}
			})
			if err != nil || label != j%3 || base.lent.Load() != 1 || Describe(ds, i) != string(rune('a'+j)) {
				t.Errorf("%s: image %d: label %d, %d lent, name %q, %v", name, i, label, base.lent.Load(), Describe(ds, i), err)
			}
		}
		labels, err := Labels(t.Context(), ds)
		for i, j := range v.index {
			if err != nil || len(labels) != len(v.index) || labels[i] != j%3 {
				t.Errorf("%s: labels %v, %v", name, labels, err)
			}
		}
		if ResidentBytes(ds) != 720 {
			t.Errorf("%s: %d bytes are resident", name, ResidentBytes(ds))
		}
		base.parts.Store(0)
		if _, _, err := epochImages(t, ds, LoaderConfig{Batch: 2, Transform: crop}, 0); err != nil || int(base.parts.Load()) != len(v.index) || base.full.Load() != 0 {
			t.Errorf("%s: %d parts and %d full images were read, %v", name, base.parts.Load(), base.full.Load(), err)
		}
	}
}

// A transform applied to a view that crops gets the cropped image.
func TestCroppedViewsShowTheirOwnImages(t *testing.T) {
	ds := Cropped(capable{parted{sized{augmentable(4)}, new(atomic.Int64), new(atomic.Int64)}, new(atomic.Int64)}, transforms.ImageClassification{ResizeSize: 8, CropSize: 6})
	pix := make([]uint8, ds.Info().Numel())
	if _, err := ds.Get(1, pix); err != nil {
		t.Fatal(err)
	}
	if _, err := Lend(First(ds, 2), 1, func(m transforms.Image) {
		if m.Height != 6 || m.Width != 6 || !slices.Equal(m.Pix, pix) {
			t.Errorf("[%d, %d, %d]", m.Channels, m.Height, m.Width)
		}
	}); err != nil {
		t.Error(err)
	}
}

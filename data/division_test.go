package data

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
)

// An even division has no batch of few images, which would spoil the statistics of batch
// norms. When the last batch has enough images, it does not change the batches.
func TestDivide(t *testing.T) {
	for _, c := range []struct {
		images, batch int
		want          []int // the last three batches
		count         int
	}{
		{3457, 32, []int{32, 17, 16}, 109},
		{33, 32, []int{17, 16}, 2},
		{20, 19, []int{10, 10}, 2},
		{60_000, 256, []int{256, 256, 96}, 235},
		{50_000, 128, []int{128, 128, 80}, 391},
		{71, 32, []int{32, 20, 19}, 3},
		{72, 32, []int{32, 32, 8}, 3}, // eight are enough
		{64, 32, []int{32, 32}, 2},
		{24, 24, []int{24}, 1},
		{9, 4, []int{4, 3, 2}, 3},
		{10, 4, []int{4, 4, 2}, 3}, // half a batch is enough
		{7, 3, []int{3, 2, 2}, 3},
		{7, 2, []int{2, 2, 3}, 3},
		{3, 2, []int{3}, 1},
		{4, 2, []int{2, 2}, 2},
		{3, 1, []int{1, 1, 1}, 3}, // as it was asked for
		{1, 1, []int{1}, 1},
	} {
		d := divide(c.images, c.batch, true, false)
		var got []int
		for k := max(0, d.count-3); k < d.count; k++ {
			_, n := d.bounds(k)
			got = append(got, n)
		}
		if d.count != c.count || !slices.Equal(got, c.want) {
			t.Errorf("%d images in batches of %d: %d, the last %v; want %d, %v", c.images, c.batch, d.count, got, c.count, c.want)
		}
	}
}

// Every image is in exactly one batch, and no batch of an even division has fewer images
// than LoaderConfig.Even promises.
func TestDivideAll(t *testing.T) {
	for images := 1; images < 130; images++ {
		for batch := 1; batch <= min(images, 40); batch++ {
			for _, even := range []bool{false, true} {
				d, next := divide(images, batch, even, false), 0
				for k := range d.count {
					first, n := d.bounds(k)
					if first != next || n > d.maxSize() || !slices.Contains(d.sizes(), n) {
						t.Fatalf("%d images in batches of %d, even %v: batch %d of %d at %d, of %d", images, batch, even, k, n, first, d.maxSize())
					}
					if even && batch > 1 && d.count > 1 && (n < 2 || n < min(minLastBatch, (batch+1)/2)) {
						t.Fatalf("%d images in batches of %d: batch %d has %d", images, batch, k, n)
					}
					next += n
				}
				if next != images || d.maxSize() > batch && batch != 2 {
					t.Fatalf("%d images in batches of %d, even %v: %d are in batches of up to %d", images, batch, even, next, d.maxSize())
				}
			}
			if d := divide(images, batch, true, true); d.count != images/batch || d.maxSize() != batch {
				t.Fatalf("%d images in batches of %d, the last left out: %+v", images, batch, d)
			}
		}
	}
}

// An even division does not change the order of the images.
func TestEvenBatches(t *testing.T) {
	ds := squares{n: 35}
	for _, workers := range []int{1, 3} {
		l, err := NewLoader(ds, LoaderConfig{Batch: 16, Shuffle: true, Even: true, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		plain, err := NewLoader(ds, LoaderConfig{Batch: 16, Shuffle: true})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(l.Sizes(), []int{16, 10, 9}) || !slices.Equal(l.Shared(), []int{10, 9}) || l.Batches() != 3 || l.Samples() != 35 {
			t.Errorf("sizes %v, shared %v, %d batches of %d images", l.Sizes(), l.Shared(), l.Batches(), l.Samples())
		}
		if !slices.Equal(plain.Sizes(), []int{16, 3}) || plain.Shared() != nil {
			t.Errorf("sizes %v, shared %v", plain.Sizes(), plain.Shared())
		}
		for epoch := range 3 {
			got, sizes := indices(t, l, epoch)
			want, _ := indices(t, plain, epoch)
			if !slices.Equal(got, want) || !slices.Equal(sizes, []int{16, 10, 9}) {
				t.Errorf("epoch %d: batches of %v, %v, want %v", epoch, sizes, got, want)
			}
		}
	}
}

func indices(t *testing.T, l *Loader, epoch int) (all, sizes []int) {
	t.Helper()
	e := l.Epoch(context.Background(), epoch)
	defer e.Close()
	for {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			return all, sizes
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := len(b.Indices); b.Images.Shape()[0] != n || b.Labels.Shape()[0] != n {
			t.Errorf("%d indices of images %v, labels %v", n, b.Images.Shape(), b.Labels.Shape())
		}
		all, sizes = append(all, b.Indices...), append(sizes, len(b.Indices))
		b.Release()
	}
}

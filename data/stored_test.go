package data

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
)

// Uint8 batches decode to the same values as float32 batches, and hold the images as they
// are before a resize.
func TestUint8BatchesDecodeToImages(t *testing.T) {
	ds, err := Open(context.Background(), "garments", Options{Size: 21})
	if err != nil {
		t.Fatal(err)
	}
	flip := transforms.Compose{transforms.Resize{Height: 30, Width: 30}, transforms.RandomHorizontalFlip{}}
	for _, c := range []struct {
		ds        Dataset
		transform transforms.Transform
		stored    int // height of a stored image
	}{{ds, nil, 28}, {Resize(ds, 30), nil, 28}, {Resize(ds, 20), nil, 28}, {Resize(ds, 9), nil, 9}, {Resize(ds, 30), flip, 30}, {First(Resize(ds, 30), 11), nil, 30}} {
		config := LoaderConfig{Batch: 8, Shuffle: true, Seed: 4, Transform: c.transform, Normalize: transforms.Normalize{Std: []float64{0.2}}}
		images, err := NewLoader(c.ds, config)
		if err != nil {
			t.Fatal(err)
		}
		config.Uint8 = true
		uint8s, err := NewLoader(c.ds, config)
		if err != nil {
			t.Fatal(err)
		}
		if s := uint8s.Stored(); s == nil || s.Height != c.stored || images.Stored() != nil || uint8s.Bytes() >= images.Bytes() {
			t.Fatalf("stored as %+v in %d bytes, images in %d", s, uint8s.Bytes(), images.Bytes())
		}
		a, b := images.Epoch(context.Background(), 2), uint8s.Epoch(context.Background(), 2)
		for {
			x, err := a.Next()
			y, other := b.Next()
			if errors.Is(err, io.EOF) && errors.Is(other, io.EOF) {
				break
			}
			if err != nil || other != nil {
				t.Fatal(err, other)
			}
			if y.Images != nil || x.Pixels != nil || len(y.Pixels) != len(y.Indices)*uint8s.Stored().Numel() {
				t.Fatalf("%d bytes for %d images", len(y.Pixels), len(y.Indices))
			}
			if got := y.Decoded(); !got.Shape().Equal(x.Images.Shape()) || !slices.Equal(got.Data(), x.Images.Data()) || x.Decoded() != x.Images {
				t.Errorf("uint8 batches of images of height %d decode to other values", c.stored)
			}
			if !slices.Equal(x.Labels.Ints(), y.Labels.Ints()) {
				t.Error("other labels")
			}
			x.Release()
			y.Release()
		}
	}
	mixed, err := NewLoader(ds, LoaderConfig{Batch: 8, Uint8: true, Mix: transforms.Mixup{Alpha: 1}})
	if err != nil || mixed.Stored() != nil {
		t.Errorf("mixed batches are uint8 (%v)", err)
	}
}

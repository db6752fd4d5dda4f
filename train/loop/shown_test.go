package loop

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/optim"
)

// The first batch is the one that the training takes, with the normalisation undone and the
// answers in words, and looking at it changes no bit.
func TestFirstBatch(t *testing.T) {
	train := someImages(t, data.Train, 40)
	o := Options{
		Batch: 8, Epochs: 1, Seed: 5, Schedule: optim.Constant{Base: 0.1}, Transform: transforms.RandomHorizontalFlip{P: 1},
		Normalize: transforms.Normalize{Mean: []float64{0.3}, Std: []float64{0.2}},
	}
	looked, plain := trainerOf(t, plainNet(), train, nil, o), trainerOf(t, plainNet(), train, nil, o)
	all, err := looked.FirstBatch(context.Background())
	if err != nil || len(all) != 8 {
		t.Fatal(len(all), err)
	}
	e := plain.loader.Epoch(context.Background(), 1)
	defer e.Close()
	b, err := e.Next()
	if err != nil {
		t.Fatal(err)
	}
	info := train.Info()
	for i, s := range all {
		m := transforms.NewImage(info.Channels, info.Height, info.Width)
		label, err := train.Get(b.Indices[i], m.Pix)
		if err != nil {
			t.Fatal(err)
		}
		if want := (transforms.RandomHorizontalFlip{P: 1}).Apply(m, rand.NewPCG(1, 1)); !slices.Equal(s.Image.Pix, want.Pix) || s.Answer != info.Classes[label] {
			t.Errorf("image %d is not the mirror image of image %d, or %q is not %q", i, b.Indices[i], s.Answer, info.Classes[label])
		}
	}
	for _, trainer := range []*Trainer{looked, plain} {
		if _, err := trainer.Fit(context.Background(), Events{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if d := apart(looked.module, plain.module); d != 0 {
		t.Errorf("weights are %v apart", d)
	}
	mixed := o
	mixed.Mix = transforms.Mixup{Alpha: 5}
	all, err = trainerOf(t, plainNet(), train, nil, mixed).FirstBatch(context.Background())
	if err != nil || !slices.ContainsFunc(all, func(s Shown) bool { return len(s.Answer) > len("coat 99%, ") }) {
		t.Errorf("answers of mixed images: %+v (%v)", all, err)
	}
}

// Fit gives the temperature of the test images.
func TestTemperatureOfAnEpoch(t *testing.T) {
	var got []float64
	trainer := trainerOf(t, plainNet(), someImages(t, data.Train, 64), someImages(t, data.Test, 50), Options{Batch: 16, Epochs: 2, Schedule: optim.Constant{Base: 0.1}})
	if _, err := trainer.Fit(context.Background(), Events{}, func(e Epoch) error {
		if len(e.Temperature) == 1 {
			got = append(got, e.Temperature[0])
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !(got[0] > 0 && got[1] > 0) || math.Abs(got[0]-1) < 1e-9 {
		t.Errorf("temperatures %v", got)
	}
}

package transforms_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/train"
)

// noise is a user's own transform. It changes every pixel by up to Amplitude.
type noise struct{ Amplitude int }

// Apply takes its random numbers only from r, so that a training can be repeated to the bit.
func (t noise) Apply(m transforms.Image, r rand.Source) transforms.Image {
	out, numbers := transforms.NewImage(m.Channels, m.Height, m.Width), rand.New(r)
	for i, v := range m.Pix {
		out.Pix[i] = uint8(min(max(int(v)+numbers.IntN(2*t.Amplitude+1)-t.Amplitude, 0), 255))
	}
	return out
}

// train.Run takes any transforms.Transform, which it applies here after random flips.
func Example() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	runs, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(runs)
	run, err := train.Run(context.Background(), dev, train.Config{
		Data: "garments", TrainSize: 1500, TestSize: 200, Epochs: 2, Out: runs,
		Preparation: train.Preparation{Augment: "flip"},
		Own:         train.Own{Transform: noise{Amplitude: 25}},
	}, train.Callbacks{})
	must(err)
	fmt.Println("most are right:", run.TestAccuracy > 0.5)
	// Output: most are right: true
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

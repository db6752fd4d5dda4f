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

// noise is a transform of one's own: it moves every pixel by up to Most.
type noise struct{ Most int }

// Apply draws from r alone, so that a training can be made again to the same bits.
func (t noise) Apply(m transforms.Image, r rand.Source) transforms.Image {
	out, lots := transforms.NewImage(m.Channels, m.Height, m.Width), rand.New(r)
	for i, v := range m.Pix {
		out.Pix[i] = uint8(min(max(int(v)+lots.IntN(2*t.Most+1)-t.Most, 0), 255))
	}
	return out
}

// A training changes its images by any transforms.Transform, here behind flips.
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
		Own:         train.Own{Transform: noise{Most: 25}},
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

package data_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/train"
)

// stripes is a user's own data set, whose images are drawn in Get. Other data sets read a
// file or a database there.
type stripes struct{ from, count int }

func (s stripes) Len() int { return s.count }

func (s stripes) Info() data.Info {
	return data.Info{Name: "stripes", Classes: []string{"across", "upright"}, Channels: 1, Height: 28, Width: 28}
}

func (s stripes) Get(i int, pix []uint8) (label int, err error) {
	i += s.from
	label = i % 2
	for p := range pix {
		if at := [2]int{p / 28, p % 28}[label]; (at+i/2)%(3+i/2%5) < 2 {
			pix[p] = uint8(100 + i%155)
		} else {
			pix[p] = 0
		}
	}
	return label, nil
}

// train.Run takes any data.Dataset.
func Example() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	runs, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(runs)
	run, err := train.Run(context.Background(), dev, train.Config{
		Own:   train.Own{TrainSet: stripes{0, 512}, TestSet: stripes{512, 128}},
		Model: "d2l-bnlenet", Batch: 32, LR: 0.1, Epochs: 3, Out: runs,
	}, train.Callbacks{})
	must(err)
	fmt.Println("nearly all are right:", run.TestAccuracy > 0.9)
	// Output: nearly all are right: true
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

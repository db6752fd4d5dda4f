package foresight_test

import (
	"fmt"
	"time"

	"github.com/residual-ml/residual/train/foresight"
	"github.com/residual-ml/residual/train/loop"
)

// Choose the larger of two trainings, of which enough epochs fit into ten minutes.
func ExampleChoose() {
	offers := []foresight.Offer{
		{Name: "resnet18 at 96x96", Cost: 8, Least: 0.1, Enough: 10, Most: 60},
		{Name: "resnet18 at 224x224", Cost: 40, Least: 0.1, Enough: 10, Most: 60},
	}
	perEpoch := []time.Duration{8 * time.Second, 40 * time.Second}
	const budget = 10 * time.Minute
	choice, err := foresight.Choose(offers, budget, func() time.Duration { return budget }, func(i int) (foresight.Estimate, error) {
		return foresight.Estimate{Speed: loop.Speed{FirstEpoch: perEpoch[i], Epoch: perEpoch[i]}}, nil
	})
	fmt.Println(offers[choice.Offer], choice.Epochs, err)
	// Output: resnet18 at 224x224 14.25 <nil>
}

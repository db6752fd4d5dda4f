package pth_test

import (
	"fmt"
	"log"

	"github.com/residual-ml/residual/weights/pth"
)

// Open reads a checkpoint of torch.save without executing anything in it.
func Example() {
	f, err := pth.Open("testdata/state-2.15.pth")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	name := f.Names()[0]
	dtype, shape, _ := f.Info(name)
	fmt.Println(name, dtype, shape)
	// Output: 0.weight F32 [2, 1, 3, 3]
}

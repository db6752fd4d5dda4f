package weights_test

import (
	"fmt"
	"log"

	"github.com/residual-ml/residual/weights"
)

// Open recognises a file of weights by its content, and lists its tensors without reading
// their elements.
func Example() {
	f, err := weights.Open("pth/testdata/state-2.15.pth")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	name := f.Names()[0]
	t, err := f.Tensor(name)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(f.Format, name, t.Shape())
	// Output: pth 0.weight [2, 1, 3, 3]
}

package npz_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/npz"
)

// Write writes what numpy.load reads, and Open reads what numpy.savez writes.
func Example() {
	var archive bytes.Buffer
	err := npz.Write(&archive, []tensor.Named{{Name: "fc.bias", Tensor: tensor.FromSlice([]float32{1, 2}, 2)}})
	if err != nil {
		log.Fatal(err)
	}
	f, err := npz.Read(bytes.NewReader(archive.Bytes()), int64(archive.Len()), "weights.npz")
	if err != nil {
		log.Fatal(err)
	}
	t, err := f.Tensor("fc.bias")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(f.Names(), t.Data())
	// Output: [fc.bias] [1 2]
}

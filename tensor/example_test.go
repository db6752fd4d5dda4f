package tensor_test

import (
	"fmt"

	"github.com/residual-ml/residual/tensor"
)

// A tensor stores its elements row by row: the last index changes fastest.
func Example() {
	t := tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	t.Set(10, 1, 2)
	fmt.Println(t.Shape(), t.At(1, 2), t.Reshape(3, 2).At(2, 1))
	fmt.Println(tensor.FromBFloat16(tensor.ToBFloat16(1.00390625))) // bfloat16 has 8 significant bits
	// Output:
	// [2, 3] 10 10
	// 1
}

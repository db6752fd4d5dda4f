package safetensors_test

import (
	"bytes"
	"fmt"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/weights/safetensors"
)

// Write stores a state dict in a file, and Open reads it, under PyTorch's names.
func Example() {
	net := nn.Sequential{nn.NewConv2d(1, 6, 5), nn.NewBatchNorm2d(6), nn.ReLU{}}
	nn.Init(net, 1, nn.XavierUniform)
	var file bytes.Buffer
	if err := safetensors.Write(&file, nn.StateDict(net), nil); err != nil {
		fmt.Println(err)
		return
	}

	other := nn.Sequential{nn.NewConv2d(1, 6, 5), nn.NewBatchNorm2d(6), nn.ReLU{}}
	f, err := safetensors.Read(bytes.NewReader(file.Bytes()), int64(file.Len()), "net.safetensors")
	if err != nil {
		fmt.Println(err)
		return
	}
	state, err := f.Tensors()
	if err == nil {
		err = nn.LoadStateDict(other, state)
	}
	fmt.Println(err, f.Names())
	fmt.Println(nn.StateDict(other)[0].Tensor.At(3, 0, 2, 1) == nn.StateDict(net)[0].Tensor.At(3, 0, 2, 1))
	// Output:
	// <nil> [0.weight 0.bias 1.weight 1.bias 1.running_mean 1.running_var]
	// true
}

package exchange_test

import (
	"bytes"
	"fmt"

	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/weights/onnx"
)

// Export a network as an ONNX graph and import it again. The parameters keep their names.
func Example() {
	net := models.NewD2LBNLeNet(1, 10)
	model, err := exchange.Export(net, exchange.ExportConfig{Input: prepare.Input{Channels: 1, Height: 28, Width: 28}, Fold: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	if err := onnx.Write(&file, model); err != nil {
		fmt.Println(err)
		return
	}
	read, err := onnx.Read(file.Bytes(), "lenet.onnx")
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := exchange.Import(read)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(model.Graph.Nodes), "nodes,", again.Classes, "classes")
	for _, p := range nn.Named(again)[:2] {
		fmt.Println(p.Name, p.Value.Shape())
	}
	// Output:
	// 12 nodes, 10 classes
	// 0.weight [6, 1, 5, 5]
	// 0.bias [6]
}

package onnx_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/residual-ml/residual/weights/onnx"
)

// A model is a graph of nodes, which package exchange creates and interprets. This one
// computes the maximum of its input and 0.
func Example() {
	image := onnx.Value{Name: "x", Type: onnx.Float, Shape: []onnx.Dim{{Size: 2}}}
	result := image
	result.Name = "y"
	model := &onnx.Model{IRVersion: 8, Opset: 17, Graph: onnx.Graph{
		Name: "rectify", Inputs: []onnx.Value{image}, Outputs: []onnx.Value{result},
		Nodes: []onnx.Node{{Op: "Relu", Inputs: []string{"x"}, Outputs: []string{"y"}}},
	}}
	var file bytes.Buffer
	if err := onnx.Write(&file, model); err != nil {
		log.Fatal(err)
	}
	read, err := onnx.Read(file.Bytes(), "rectify.onnx")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(read.Graph.Nodes[0].Op, read.Graph.Outputs[0].Name)
	// Output: Relu y
}

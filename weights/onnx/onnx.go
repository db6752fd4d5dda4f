// Package onnx reads and writes ONNX files as far as image networks need the
// format: a graph of nodes over named tensors, with the weights inside or in files
// beside the model. The format is a protocol buffer, described at
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and
// https://onnx.ai/onnx/repo-docs/IR.html.
//
// Open and Read return a Model, and Write writes one. A Model has a Graph, whose Nodes
// compute Outputs from Inputs and Initialisers (the weights). The package does not know
// what operations mean: package exchange turns graphs into networks and back.
//
// Files are untrusted: the reader checks every length against the bytes that are
// there, allocates memory in proportion to them, and returns a graph whose names are
// defined and unique and whose nodes are in an order in which they can be computed.
package onnx

import (
	"fmt"

	"github.com/residual-ml/residual/tensor"
)

// Model is the content of a file.
type Model struct {
	IRVersion       int64 // version of the format; Write requires 3 or more
	Opset           int64 // version of ONNX's own operator set, which defines the nodes
	Producer        string
	ProducerVersion string
	Graph           Graph
	Metadata        map[string]string
}

// Graph is a computation: Nodes compute the outputs from Inputs and Initialisers.
type Graph struct {
	Name         string
	Nodes        []Node         // each after the nodes whose outputs it uses
	Initialisers []tensor.Named // the weights
	Inputs       []Value        // fed at every run, without the initialisers
	Outputs      []Value

	// Types has the element types of initialisers whose integers are smaller than Int64, in
	// which they are held. Write writes them so.
	Types map[string]ElementType
}

// Node is one operation. Its inputs and outputs are names of values; an empty name
// stands for an optional value that is left out.
type Node struct {
	Name       string
	Op         string // "Conv"
	Domain     string // operator set; empty for ONNX's own
	Inputs     []string
	Outputs    []string
	Attributes []Attribute
}

// String describes the node for messages.
func (n *Node) String() string { return fmt.Sprintf("node %s (%s)", quote(n.title()), quoteless(n.Op)) }

// title is the node's name or, if it has none, that of its first output.
func (n *Node) title() string {
	if n.Name == "" && len(n.Outputs) > 0 {
		return n.Outputs[0]
	}
	return n.Name
}

// Attribute is a setting of a node. Its Value is a float32, int64, string,
// *tensor.Tensor, []float32 or []int64, or an Opaque that was not read.
type Attribute struct {
	Name  string
	Value any
	Type  ElementType // of a tensor's integers, if they are smaller than Int64; otherwise 0
}

// Opaque is the kind of an attribute that this package does not read, by the format's
// name: GRAPH, STRINGS ...
type Opaque string

// Value describes an input or output of the graph.
type Value struct {
	Name  string
	Type  ElementType
	Shape []Dim // nil where the file does not give it
}

// Dim is the size of one dimension. A size of 0 is chosen at every run; Name may say
// what the dimension is, such as N.
type Dim struct {
	Size int
	Name string
}

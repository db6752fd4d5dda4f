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
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
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

// ElementType is the type of a tensor's elements, with the format's numbers.
type ElementType int32

// The element types that can be read or fed.
const (
	Float    ElementType = 1
	Uint8    ElementType = 2
	Int8     ElementType = 3
	Uint16   ElementType = 4
	Int16    ElementType = 5
	Int32    ElementType = 6
	Int64    ElementType = 7
	Bool     ElementType = 9
	Float16  ElementType = 10
	Double   ElementType = 11
	Uint32   ElementType = 12
	Uint64   ElementType = 13
	BFloat16 ElementType = 16
)

// String returns the format's name of the type.
func (t ElementType) String() string {
	if e, ok := kinds[t]; ok {
		return e.name
	}
	return fmt.Sprintf("type %d", int32(t))
}

// mostBytes is the longest possible message of a protocol buffer.
const mostBytes = 1<<31 - 1

// Open reads the file at path. Weights may be in other files in the same folder, as
// external data: PyTorch's newer exporter puts them into NAME.onnx.data.
func Open(path string) (*Model, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	folder := &outside{}
	defer folder.close()
	if folder.root, err = os.OpenRoot(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return read(b, path, folder)
}

// Read reads a model from b, to which the model keeps no reference. name stands for the
// file in errors. Weights in other files are an error.
func Read(b []byte, name string) (*Model, error) { return read(b, name, nil) }

func read(b []byte, name string, folder *outside) (*Model, error) {
	m, err := readModel(b, folder)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

func readFile(path string) ([]byte, error) {
	f, size, err := elements.OpenFile(path, ".onnx")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > mostBytes {
		return nil, fmt.Errorf("%s: %d bytes, where an ONNX file has at most %d; export with external data", path, size, mostBytes)
	}
	b := make([]byte, size)
	if err := elements.ReadFull(f, b, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Package onnx reads and writes ONNX files, as far as networks of images need
// the format: a graph of nodes over named tensors, with the weights inside. The
// format is a protocol buffer, described at
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and
// https://onnx.ai/onnx/repo-docs/IR.html.
//
// The package knows no operation: what a node means is its caller's concern (see
// package exchange). A file is untrusted: the reader holds every length against
// the bytes that are there, allocates in proportion to them, and returns a graph
// whose names are known and unique and whose nodes stand in an order in which
// they can be computed.
package onnx

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// Model is what a file holds.
type Model struct {
	IRVersion       int64 // of the format; Write wants 3 or more
	Opset           int64 // version of ONNX's own operator set, by which nodes are read
	Producer        string
	ProducerVersion string
	Graph           Graph
	Metadata        map[string]string
}

// Graph is a computation: what Nodes make of Inputs and Initialisers.
type Graph struct {
	Name         string
	Nodes        []Node         // each after those whose outputs it takes
	Initialisers []tensor.Named // the weights
	Inputs       []Value        // what is fed at every run: initialisers left out
	Outputs      []Value
}

// Node is one operation. Its inputs and outputs are names of values; an empty
// one stands for an optional value that is left out.
type Node struct {
	Name       string
	Op         string // "Conv"
	Domain     string // of the operator set; empty for ONNX's own
	Inputs     []string
	Outputs    []string
	Attributes []Attribute
}

// String names the node for messages.
func (n *Node) String() string { return fmt.Sprintf("node %s (%s)", quote(n.title()), quoteless(n.Op)) }

// title is the node's name, or that of its first output where it has none.
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

// Opaque is the kind of an attribute that this package does not read, in the
// format's words: GRAPH, STRINGS ...
type Opaque string

// Value describes an input or output of the graph.
type Value struct {
	Name  string
	Type  ElementType
	Shape []Dim // nil where the file does not say
}

// Dim is the size of one dimension. A size of 0 is chosen at every run; the name
// may say what it is, such as N.
type Dim struct {
	Size int
	Name string
}

// ElementType is a type of tensors' elements, numbered as in the format.
type ElementType int32

// The types that a tensor can be read from or fed as.
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

// String returns the format's word for the type.
func (t ElementType) String() string {
	if e, ok := kinds[t]; ok {
		return e.name
	}
	return fmt.Sprintf("type %d", int32(t))
}

// mostBytes is the longest message a protocol buffer can be.
const mostBytes = 1<<31 - 1

// Open reads the file at path. Weights may lie in other files in the same folder, as
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

// Read reads a file's bytes, which the model does not keep. The name stands for
// the file in errors. Weights in other files are an error.
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

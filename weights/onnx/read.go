package onnx

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/tensor"
)

// readModel reads a ModelProto, and the weights that are in files beside it.
func readModel(b []byte, folder *outside) (*Model, error) {
	m := &Model{Metadata: map[string]string{}}
	var graph []byte
	var seen once
	err := fields(b, func(f field) error {
		if err := seen.check(f, 8, 14, 20, 25, 26); err != nil {
			return err
		}
		switch f.number {
		case 1:
			return f.int(&m.IRVersion)
		case 2:
			return f.text(&m.Producer)
		case 3:
			return f.text(&m.ProducerVersion)
		case 7:
			return f.message(&graph)
		case 8:
			return m.readOpset(f)
		case 14:
			return m.readMetadata(f)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case graph == nil:
		return nil, fmt.Errorf("holds no graph; %s", damaged)
	case m.Opset < 1:
		return nil, fmt.Errorf("does not say which version of ONNX's operators it uses; %s", damaged)
	}
	if err := m.Graph.read(graph, folder); err != nil {
		return nil, err
	}
	return m, m.Graph.order()
}

// readOpset reads an OperatorSetIdProto and keeps the version of ONNX's own set.
func (m *Model) readOpset(f field) error {
	var message []byte
	if err := f.message(&message); err != nil {
		return err
	}
	var domain string
	var version int64
	var seen once
	err := fields(message, func(f field) error {
		if err := seen.check(f); err != nil {
			return err
		}
		switch f.number {
		case 1:
			return f.text(&domain)
		case 2:
			return f.int(&version)
		}
		return nil
	})
	if err != nil || !ownDomain(domain) {
		return err
	}
	if m.Opset != 0 {
		return fmt.Errorf("names two versions of ONNX's operators; %s", damaged)
	}
	m.Opset = version
	return nil
}

// ownDomain reports whether a domain is that of ONNX's own operators.
func ownDomain(domain string) bool { return domain == "" || domain == "ai.onnx" }

// readMetadata reads a StringStringEntryProto.
func (m *Model) readMetadata(f field) error {
	var message []byte
	if err := f.message(&message); err != nil {
		return err
	}
	var key, value string
	var seen once
	err := fields(message, func(f field) error {
		if err := seen.check(f); err != nil {
			return err
		}
		switch f.number {
		case 1:
			return f.text(&key)
		case 2:
			return f.text(&value)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	if _, ok := m.Metadata[key]; ok {
		return fmt.Errorf("metadata %s occurs twice; %s", quote(key), damaged)
	}
	m.Metadata[key] = value
	return nil
}

// read reads a GraphProto. It counts the elements of its lists first, to allocate once.
func (g *Graph) read(b []byte, folder *outside) error {
	n, err := count(b, 1, 5, 11, 12)
	if err != nil {
		return err
	}
	g.Nodes = make([]Node, 0, n[0])
	g.Initialisers = make([]tensor.Named, 0, n[1])
	g.Inputs = make([]Value, 0, n[2])
	g.Outputs = make([]Value, 0, n[3])
	var seen once
	err = fields(b, func(f field) error {
		if err := seen.check(f, 1, 5, 11, 12, 13, 14, 15, 16); err != nil {
			return err
		}
		var message []byte
		switch f.number {
		case 2:
			return f.text(&g.Name)
		case 1, 5, 11, 12, 15:
			if err := f.message(&message); err != nil {
				return err
			}
		}
		switch f.number {
		case 1:
			g.Nodes = append(g.Nodes, Node{})
			node := &g.Nodes[len(g.Nodes)-1]
			if err := node.read(message); err != nil {
				return fmt.Errorf("%v: %w", node, err)
			}
		case 5:
			name, t, small, err := readTensor(message, folder)
			if err != nil {
				return fmt.Errorf("initialiser %s: %w", quote(name), err)
			}
			if small != 0 {
				g.setType(name, small)
			}
			g.Initialisers = append(g.Initialisers, tensor.Named{Name: name, Tensor: t})
		case 11:
			return readValue(&g.Inputs, "input", message)
		case 12:
			return readValue(&g.Outputs, "output", message)
		case 15:
			return fmt.Errorf("holds sparse initialisers, which cannot be read; export dense weights")
		}
		return nil
	})
	if err != nil {
		return err
	}
	g.dropInitialised()
	return nil
}

// setType records the element type of an initialiser.
func (g *Graph) setType(name string, t ElementType) {
	if g.Types == nil {
		g.Types = map[string]ElementType{}
	}
	g.Types[name] = t
}

// dropInitialised removes the inputs that have an initialiser: up to version 3 of the
// format all weights were listed as inputs, too.
func (g *Graph) dropInitialised() {
	known := make(map[string]bool, len(g.Initialisers))
	for _, t := range g.Initialisers {
		known[t.Name] = true
	}
	inputs := g.Inputs[:0]
	for _, v := range g.Inputs {
		if !known[v.Name] {
			inputs = append(inputs, v)
		}
	}
	g.Inputs = inputs
}

// read reads a NodeProto. After an error n holds what was read so far, so that the error
// can name the node.
func (n *Node) read(b []byte) error {
	c, err := count(b, 1, 2, 5)
	if err != nil {
		return err
	}
	if c[2] > maxAttributes {
		return fmt.Errorf("has %d attributes, where at most %d are possible; %s", c[2], maxAttributes, damaged)
	}
	n.Inputs, n.Outputs, n.Attributes = make([]string, c[0]), make([]string, c[1]), make([]Attribute, c[2])
	var in, out, attributes int
	var seen once
	err = fields(b, func(f field) error {
		if err := seen.check(f, 1, 2, 5, 9, 10); err != nil {
			return err
		}
		switch f.number {
		case 1:
			in++
			return f.text(&n.Inputs[in-1])
		case 2:
			out++
			return f.text(&n.Outputs[out-1])
		case 3:
			return f.text(&n.Name)
		case 4:
			return f.text(&n.Op)
		case 5:
			attributes++
			return n.Attributes[attributes-1].read(f)
		case 7:
			return f.text(&n.Domain)
		}
		return nil
	})
	if ownDomain(n.Domain) {
		n.Domain = ""
	}
	return err
}

// attributeKinds names the kinds of an AttributeProto; kinds without a field number here
// become Opaque.
var attributeKinds = [...]string{"UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS",
	"TENSORS", "GRAPHS", "SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS"}

// read reads an AttributeProto.
func (a *Attribute) read(f field) error {
	var message, proto []byte
	if err := f.message(&message); err != nil {
		return err
	}
	var kind, number int64
	var real float32
	var text, reference string
	var floats []float32
	var ints []int64
	var seen once
	err := fields(message, func(f field) error {
		if err := seen.check(f, 7, 8, 9, 10, 11, 15, 23); err != nil {
			return err
		}
		switch f.number {
		case 1:
			return f.text(&a.Name)
		case 2:
			var list []float32
			if err := f.floats(&list); err != nil || len(list) != 1 {
				return fmt.Errorf("a FLOAT that is no number; %s", damaged)
			}
			real = list[0]
		case 3:
			return f.int(&number)
		case 4:
			return f.text(&text)
		case 5:
			return f.message(&proto)
		case 7:
			return f.floats(&floats)
		case 8:
			return f.ints(&ints)
		case 20:
			return f.int(&kind)
		case 21:
			return f.text(&reference)
		}
		return nil
	})
	if err == nil && reference != "" {
		err = fmt.Errorf("refers to %s of a function, which cannot be read; export without functions", quote(reference))
	}
	if err == nil {
		a.Value, a.Type, err = attributeValue(kind, number, real, text, proto, floats, ints)
	}
	if err != nil {
		return fmt.Errorf("attribute %s: %w", quote(a.Name), err)
	}
	return nil
}

func attributeValue(kind, number int64, real float32, text string, proto []byte, floats []float32, ints []int64) (any, ElementType, error) {
	if kind < 1 || kind >= int64(len(attributeKinds)) {
		return nil, 0, fmt.Errorf("is of the unknown kind %d; %s", kind, damaged)
	}
	switch attributeKinds[kind] {
	case "FLOAT":
		return real, 0, nil
	case "INT":
		return number, 0, nil
	case "STRING":
		return text, 0, nil
	case "TENSOR":
		_, t, small, err := readTensor(proto, nil)
		return t, small, err
	case "FLOATS":
		return floats, 0, nil
	case "INTS":
		return ints, 0, nil
	}
	return Opaque(attributeKinds[kind]), 0, nil
}

// readValue reads a ValueInfoProto and appends it to list.
func readValue(list *[]Value, what string, b []byte) error {
	var v Value
	var proto []byte
	var seen once
	err := fields(b, func(f field) error {
		if err := seen.check(f, 4); err != nil {
			return err
		}
		switch f.number {
		case 1:
			return f.text(&v.Name)
		case 2:
			return f.message(&proto)
		}
		return nil
	})
	if err == nil {
		err = v.readType(proto)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, quote(v.Name), err)
	}
	*list = append(*list, v)
	return nil
}

// readType reads the TypeProto of a tensor; any other type is ignored.
func (v *Value) readType(b []byte) error {
	var proto []byte
	var seen once
	err := fields(b, func(f field) error {
		if err := seen.check(f); err != nil {
			return err
		}
		if f.number == 1 {
			return f.message(&proto)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var shape []byte
	seen = 0
	err = fields(proto, func(f field) error {
		if err := seen.check(f); err != nil {
			return err
		}
		switch f.number {
		case 1:
			var code int64
			err := f.int(&code)
			v.Type = ElementType(code)
			return err
		case 2:
			err := f.message(&shape)
			v.Shape = []Dim{} // distinguishes a scalar from an unknown shape
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return fields(shape, func(f field) error {
		var proto []byte
		if f.number != 1 {
			return nil
		}
		if err := f.message(&proto); err != nil {
			return err
		}
		d, err := readDim(proto)
		v.Shape = append(v.Shape, d)
		return err
	})
}

// readDim reads a dimension. Some exporters write a size of 0 or -1 for any size.
func readDim(b []byte) (d Dim, err error) {
	var seen once
	err = fields(b, func(f field) error {
		if err := seen.check(f); err != nil {
			return err
		}
		switch f.number {
		case 1:
			var size int64
			if err := f.int(&size); err != nil {
				return err
			}
			if size > math.MaxInt32 {
				return fmt.Errorf("a size of %d; %s", size, damaged)
			}
			d.Size = int(max(size, 0))
		case 2:
			return f.text(&d.Name)
		}
		return nil
	})
	return d, err
}

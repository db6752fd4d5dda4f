package onnx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// Write writes the model, with the elements of its tensors as raw data: Float32 as FLOAT,
// Int64 as INT64, or as the smaller type that Types or the attribute names. The same model gives the same bytes. Write writes nothing when the reader
// would refuse the result.
func Write(w io.Writer, m *Model) error {
	graph := m.Graph
	graph.Nodes = slices.Clone(graph.Nodes) // order may sort them
	if err := graph.order(); err != nil {
		return fmt.Errorf("onnx.Write: %w", err)
	}
	e := &encoder{w: w}
	if err := e.model(m, &graph); err != nil {
		return fmt.Errorf("onnx.Write: %w", err)
	}
	return e.err
}

// encoder builds messages from the inside out. Tensors are large, so they are written
// directly to the writer.
type encoder struct {
	w   io.Writer
	err error
}

func (e *encoder) model(m *Model, g *Graph) error {
	if m.IRVersion < 3 || m.Opset < 1 {
		return fmt.Errorf("version %d of the format and %d of the operators; give 8 and 17, which all readers know", m.IRVersion, m.Opset)
	}
	if err := m.checkText(); err != nil {
		return err
	}
	head := appendInt(nil, 1, m.IRVersion)
	head = appendText(head, 2, m.Producer)
	head = appendText(head, 3, m.ProducerVersion)
	opset := appendInt(nil, 2, m.Opset)
	tail := appendMessage(nil, 8, opset)
	for _, key := range slices.Sorted(maps.Keys(m.Metadata)) {
		entry := appendText(appendText(nil, 1, key), 2, m.Metadata[key])
		tail = appendMessage(tail, 14, entry)
	}
	var before, after []byte
	for i := range g.Nodes {
		n, err := nodeMessage(&g.Nodes[i])
		if err != nil {
			return fmt.Errorf("%v: %w", &g.Nodes[i], err)
		}
		before = appendMessage(before, 1, n)
	}
	before = appendText(before, 2, g.Name)
	for _, v := range g.Inputs {
		after = appendMessage(after, 11, valueMessage(v))
	}
	for _, v := range g.Outputs {
		after = appendMessage(after, 12, valueMessage(v))
	}
	size := len(before) + len(after)
	heads := make([][]byte, len(g.Initialisers))
	for i, t := range g.Initialisers {
		h, data, err := tensorHead(t.Name, t.Tensor, g.Types[t.Name])
		if err != nil {
			return fmt.Errorf("initialiser %s: %w", quote(t.Name), err)
		}
		heads[i] = append(appendTag(nil, 5, len(h)+data), h...)
		size += len(heads[i]) + data
	}
	if total := len(head) + len(tail) + size; total > maxBytes-16 {
		return fmt.Errorf("%d bytes, where an ONNX file can have %d; a network this large does not fit the format", total, maxBytes)
	}
	e.bytes(appendTag(head, 7, size))
	e.bytes(before)
	for i, t := range g.Initialisers {
		e.bytes(heads[i])
		e.elements(t.Tensor, g.Types[t.Name])
	}
	e.bytes(after)
	e.bytes(tail)
	return nil
}

// checkText refuses names and texts that are not UTF-8, which the format requires of
// strings.
func (m *Model) checkText() error {
	g := &m.Graph
	texts := []string{m.Producer, m.ProducerVersion, g.Name}
	for key, value := range m.Metadata {
		texts = append(texts, key, value)
	}
	for _, v := range slices.Concat(g.Inputs, g.Outputs) {
		texts = append(texts, v.Name)
		for _, d := range v.Shape {
			texts = append(texts, d.Name)
		}
	}
	for _, t := range g.Initialisers {
		texts = append(texts, t.Name)
	}
	for _, n := range g.Nodes {
		texts = append(append(texts, n.Name, n.Op, n.Domain), slices.Concat(n.Inputs, n.Outputs)...)
		for _, a := range n.Attributes {
			texts = append(texts, a.Name)
			if s, ok := a.Value.(string); ok {
				texts = append(texts, s)
			}
		}
	}
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("the text %s is not UTF-8; change it", quote(s))
		}
	}
	return nil
}

func nodeMessage(n *Node) ([]byte, error) {
	var b []byte
	for _, name := range n.Inputs {
		b = appendMessage(b, 1, []byte(name)) // an empty name is written, too
	}
	for _, name := range n.Outputs {
		b = appendMessage(b, 2, []byte(name))
	}
	b = appendText(b, 3, n.Name)
	b = appendText(b, 4, n.Op)
	for _, a := range n.Attributes {
		m, err := attributeMessage(a)
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", quote(a.Name), err)
		}
		b = appendMessage(b, 5, m)
	}
	return appendText(b, 7, n.Domain), nil
}

func attributeMessage(a Attribute) ([]byte, error) {
	b := appendText(nil, 1, a.Name)
	kind := ""
	switch v := a.Value.(type) {
	case float32:
		kind = "FLOAT"
		b = protowire.AppendFixed32(protowire.AppendTag(b, 2, protowire.Fixed32Type), math.Float32bits(v))
	case int64:
		kind = "INT"
		b = appendInt(b, 3, v)
	case string:
		kind = "STRING"
		b = appendMessage(b, 4, []byte(v))
	case *tensor.Tensor:
		kind = "TENSOR"
		head, data, err := tensorHead("", v, a.Type)
		if err != nil {
			return nil, err
		}
		b = append(appendTag(b, 5, len(head)+data), head...)
		buf := bytes.NewBuffer(b)
		_ = writeElements(buf, v, a.Type) // writing to a buffer cannot fail
		b = buf.Bytes()
	case []float32:
		kind = "FLOATS"
		for _, f := range v {
			b = protowire.AppendFixed32(protowire.AppendTag(b, 7, protowire.Fixed32Type), math.Float32bits(f))
		}
	case []int64:
		kind = "INTS"
		for _, i := range v {
			b = appendInt(b, 8, i)
		}
	default:
		return nil, fmt.Errorf("a %T cannot be written; it is a float32, int64, string, *tensor.Tensor, []float32 or []int64", v)
	}
	return appendInt(b, 20, int64(slices.Index(attributeKinds[:], kind))), nil
}

func valueMessage(v Value) []byte {
	var shape []byte
	for _, d := range v.Shape {
		var dim []byte
		if d.Size > 0 {
			dim = appendInt(nil, 1, int64(d.Size))
		} else {
			dim = appendText(nil, 2, d.Name)
		}
		shape = appendMessage(shape, 1, dim)
	}
	tensorType := appendInt(nil, 1, int64(v.Type))
	if v.Shape != nil {
		tensorType = appendMessage(tensorType, 2, shape)
	}
	return appendMessage(appendText(nil, 1, v.Name), 2, appendMessage(nil, 1, tensorType))
}

// tensorHead returns a TensorProto up to its elements, which are the last data bytes. small is
// the type of integers that are smaller than Int64, or 0.
func tensorHead(name string, t *tensor.Tensor, small ElementType) (head []byte, data int, err error) {
	if t == nil {
		return nil, 0, fmt.Errorf("is nil")
	}
	kind := Float
	switch {
	case t.DType() == tensor.Float32 && small == 0:
	case t.DType() == tensor.Int64 && small == 0:
		kind = Int64
	case t.DType() == tensor.Int64:
		kind = small
		if _, ok := kinds[kind]; !ok || kind.IsFloat() {
			return nil, 0, fmt.Errorf("integers cannot be written as %v", kind)
		}
		if err := kind.check(t.Ints()); err != nil {
			return nil, 0, err
		}
	case small != 0:
		return nil, 0, fmt.Errorf("is %v, which cannot be written as %v", t.DType(), small)
	default:
		return nil, 0, fmt.Errorf("type %v cannot be written; convert it to float32", t.DType())
	}
	for _, d := range t.Shape() {
		head = appendInt(head, 1, int64(d))
	}
	head = appendText(appendInt(head, 2, int64(kind)), 8, name)
	data = t.Numel() * kinds[kind].size()
	return appendTag(head, 9, data), data, nil
}

func (e *encoder) bytes(b []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
}

func (e *encoder) elements(t *tensor.Tensor, small ElementType) {
	if e.err == nil {
		e.err = writeElements(e.w, t, small)
	}
}

// writeElements writes the elements of a tensor, whose integers have the type small unless that is 0.
func writeElements(w io.Writer, t *tensor.Tensor, small ElementType) error {
	if small == 0 {
		return elements.Write(w, t)
	}
	return writeInts(w, kinds[small].size(), t.Ints())
}

// writeInts writes integers in the given number of bytes, little-endian. They are within range.
func writeInts(w io.Writer, size int, ints []int64) error {
	buf := make([]byte, 0, min(64<<10, len(ints)*size))
	for len(ints) > 0 {
		n := min(len(ints), cap(buf)/size)
		for _, v := range ints[:n] {
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], uint64(v))
			buf = append(buf, b[:size]...)
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
		buf, ints = buf[:0], ints[n:]
	}
	return nil
}

func appendInt(b []byte, number protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(v))
}

// appendText appends a text field unless the text is empty.
func appendText(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendMessage(b, number, []byte(s))
}

func appendMessage(b []byte, number protowire.Number, m []byte) []byte {
	return append(appendTag(b, number, len(m)), m...)
}

// appendTag appends the tag and length of a field of bytes.
func appendTag(b []byte, number protowire.Number, length int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.BytesType), uint64(length))
}

package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// Write writes Float32 tensors as F32 and Int64 tensors as I64. The header lists
// them in the given order and is padded with spaces so that the data starts at a
// multiple of eight bytes; the same arguments give the same bytes. Wider elements come
// first, so that every element is aligned to its size whatever the shapes: PyTorch
// refuses misaligned tensors.
func Write(w io.Writer, tensors []tensor.Named, metadata map[string]string) error {
	return WriteAs(w, tensors, nil, metadata)
}

// WriteAs is Write with types for some of the tensors, by name: "BF16" rounds a Float32 tensor
// to bfloat16, and "I8" stores an Int64 tensor whose elements are from -128 to 127.
func WriteAs(w io.Writer, tensors []tensor.Named, types map[string]string, metadata map[string]string) error {
	if err := checkWritable(tensors, types, metadata); err != nil {
		return fmt.Errorf("safetensors.Write: %w", err)
	}
	text := encodeHeader(tensors, types, metadata)
	if err := checkLength(len(text)); err != nil { // escaping may have lengthened it
		return fmt.Errorf("safetensors.Write: %w", err)
	}
	buf := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	if _, err := w.Write(append(buf, text...)); err != nil {
		return err
	}
	for _, dtype := range dataOrder {
		for _, n := range tensors {
			if typeOf(n, types) == dtype {
				if err := elements.WriteAs(w, n.Tensor, dtype); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// dataOrder lists the wider elements first.
var dataOrder = []string{"I64", "F32", "BF16", "I8"}

// typeOf returns the type in which a tensor is stored.
func typeOf(n tensor.Named, types map[string]string) string {
	if t, ok := types[n.Name]; ok {
		return t
	}
	if n.Tensor.DType() == tensor.Int64 {
		return "I64"
	}
	return "F32"
}

// bytesOf returns the number of bytes that a tensor takes as a type of dataOrder.
func bytesOf(t *tensor.Tensor, dtype string) int {
	bits, _ := elements.Bits(dtype)
	return t.Numel() * int(bits/8)
}

func checkWritable(tensors []tensor.Named, types map[string]string, metadata map[string]string) error {
	seen := map[string]bool{}
	length := 0
	for _, n := range tensors {
		switch {
		case n.Name == metadataKey || !utf8.ValidString(n.Name):
			return fmt.Errorf("%s cannot be the name of a tensor; rename it", elements.Quote(n.Name))
		case seen[n.Name]:
			return fmt.Errorf("tensor %s: given twice; give each a name of its own", elements.Quote(n.Name))
		case n.Tensor == nil:
			return fmt.Errorf("tensor %s: is nil", elements.Quote(n.Name))
		case n.Tensor.DType() != tensor.Float32 && n.Tensor.DType() != tensor.Int64:
			return fmt.Errorf("tensor %s: type %v cannot be written; convert it to float32", elements.Quote(n.Name), n.Tensor.DType())
		}
		if err := elements.CheckStored(n.Tensor, typeOf(n, types)); err != nil {
			return fmt.Errorf("tensor %s: %w", elements.Quote(n.Name), err)
		}
		seen[n.Name] = true
		length += len(n.Name)
	}
	for key, value := range metadata {
		length += len(key) + len(value)
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return fmt.Errorf("metadata %s: is not UTF-8", elements.Quote(key))
		}
	}
	return checkLength(length)
}

func checkLength(header int) error {
	if header > maxHeader {
		return fmt.Errorf("header of %d bytes or more, where %d are allowed; shorten the metadata", header, maxHeader)
	}
	return nil
}

func encodeHeader(tensors []tensor.Named, types map[string]string, metadata map[string]string) []byte {
	offsets := make([]int, len(tensors))
	at := 0
	for _, dtype := range dataOrder {
		for i, n := range tensors {
			if typeOf(n, types) == dtype {
				offsets[i] = at
				at += bytesOf(n.Tensor, dtype)
			}
		}
	}
	b := []byte{'{'}
	if len(metadata) > 0 {
		b = append(appendString(b, metadataKey), ":{"...)
		for i, key := range slices.Sorted(maps.Keys(metadata)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, key), ':')
			b = appendString(b, metadata[key])
		}
		b = append(b, "},"...)
	}
	for i, n := range tensors {
		b = appendEntry(b, n, typeOf(n, types), offsets[i])
		b = append(b, ',')
	}
	b = append(bytes.TrimSuffix(b, []byte{','}), '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	return b
}

func appendEntry(b []byte, n tensor.Named, dtype string, begin int) []byte {
	b = append(appendString(b, n.Name), `:{"dtype":"`...)
	b = append(append(b, dtype...), `","shape":[`...)
	for i, d := range n.Tensor.Shape() {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(d), 10)
	}
	b = append(b, `],"data_offsets":[`...)
	b = append(strconv.AppendInt(b, int64(begin), 10), ',')
	b = strconv.AppendInt(b, int64(begin+bytesOf(n.Tensor, dtype)), 10)
	return append(b, "]}"...)
}

// appendString appends s as a JSON string without escaping < > &.
func appendString(b []byte, s string) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // marshalling a string cannot fail
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})...)
}

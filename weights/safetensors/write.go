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
// multiple of eight bytes; the same arguments give the same bytes. Int64 data comes
// first, so that every element is aligned to its size whatever the shapes: PyTorch
// refuses misaligned tensors.
func Write(w io.Writer, tensors []tensor.Named, metadata map[string]string) error {
	if err := checkWritable(tensors, metadata); err != nil {
		return fmt.Errorf("safetensors.Write: %w", err)
	}
	text := encodeHeader(tensors, metadata)
	if err := checkLength(len(text)); err != nil { // escaping may have lengthened it
		return fmt.Errorf("safetensors.Write: %w", err)
	}
	buf := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	if _, err := w.Write(append(buf, text...)); err != nil {
		return err
	}
	for _, dtype := range dataOrder {
		for _, n := range tensors {
			if n.Tensor.DType() == dtype {
				if err := elements.Write(w, n.Tensor); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// dataOrder lists the wider elements first.
var dataOrder = []tensor.DType{tensor.Int64, tensor.Float32}

func checkWritable(tensors []tensor.Named, metadata map[string]string) error {
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
		case !slices.Contains(dataOrder, n.Tensor.DType()):
			return fmt.Errorf("tensor %s: type %v cannot be written; convert it to float32", elements.Quote(n.Name), n.Tensor.DType())
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

func encodeHeader(tensors []tensor.Named, metadata map[string]string) []byte {
	offsets := make([]int, len(tensors))
	at := 0
	for _, dtype := range dataOrder {
		for i, n := range tensors {
			if n.Tensor.DType() == dtype {
				offsets[i] = at
				at += n.Tensor.Numel() * dtype.Size()
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
		b = appendEntry(b, n, offsets[i])
		b = append(b, ',')
	}
	b = append(bytes.TrimSuffix(b, []byte{','}), '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	return b
}

func appendEntry(b []byte, n tensor.Named, begin int) []byte {
	dtype := "F32"
	if n.Tensor.DType() == tensor.Int64 {
		dtype = "I64"
	}
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
	b = strconv.AppendInt(b, int64(begin+n.Tensor.Numel()*n.Tensor.DType().Size()), 10)
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

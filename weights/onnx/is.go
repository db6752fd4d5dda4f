package onnx

import (
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

// mostFields is how many fields of a model Is looks at: beside the graph, a model has one for
// each set of operators, each function and each entry of its metadata.
const mostFields = 1 << 12

// Is reports whether the size bytes of r are an ONNX model, by the fields of its outermost
// message (onnx.proto, ModelProto). A model that is cut short is one, too, where its first
// field is ir_version, which exporters write first.
func Is(r io.ReaderAt, size int64) bool {
	graph, at := false, int64(0)
	for range mostFields {
		if at == size {
			return graph
		}
		head := make([]byte, min(size-at, 24))
		if n, err := r.ReadAt(head, at); n < len(head) && err != nil {
			return false
		}
		number, kind, n := protowire.ConsumeTag(head)
		want, known := modelFields[number]
		if n < 0 || !known || kind != want {
			return false
		}
		if number == 1 && at == 0 {
			return true
		}
		value, m := protowire.ConsumeVarint(head[n:])
		if m < 0 {
			return false
		}
		at += int64(n + m)
		if kind == protowire.BytesType {
			if value > uint64(size-at) {
				return false
			}
			at += int64(value)
		}
		graph = graph || number == 7
	}
	return graph
}

// modelFields are the fields of a ModelProto with their types.
var modelFields = map[protowire.Number]protowire.Type{
	1: protowire.VarintType,                                                // ir_version
	2: protowire.BytesType, 3: protowire.BytesType, 4: protowire.BytesType, // producer's name and version, domain
	5:  protowire.VarintType,                                                                           // model_version
	6:  protowire.BytesType,                                                                            // doc_string
	7:  protowire.BytesType,                                                                            // graph
	8:  protowire.BytesType,                                                                            // opset_import
	14: protowire.BytesType, 20: protowire.BytesType, 25: protowire.BytesType, 26: protowire.BytesType, // metadata, training, functions, devices
}

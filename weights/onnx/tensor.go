package onnx

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

// lists are the fields of a TensorProto that hold elements one by one.
type lists struct {
	floats  []float32
	doubles []float32
	int32s  []int64
	int64s  []int64
	uint64s []int64
}

// readTensor reads a TensorProto. FLOAT is copied, and FLOAT16, BFLOAT16 and DOUBLE are
// converted to Float32: the first two exactly, DOUBLE rounded to nearest. Integers of
// every size and BOOL become Int64; small is their type if it is another. Elements in another
// file are read where folder has one.
func readTensor(b []byte, folder *outside) (name string, t *tensor.Tensor, small ElementType, err error) {
	var dims []int64
	var code int64
	var raw []byte
	var parts lists
	var entries [][]byte // of external data
	var external bool
	var seen once
	err = fields(b, func(f field) error {
		if err := seen.check(f, 1, 4, 5, 6, 7, 10, 11, 13, 16); err != nil {
			return err
		}
		switch f.number {
		case 1:
			return f.ints(&dims)
		case 2:
			return f.int(&code)
		case 3:
			return fmt.Errorf("is one segment of a tensor, which cannot be read; export it in one piece")
		case 4:
			return f.floats(&parts.floats)
		case 5:
			return f.ints(&parts.int32s)
		case 7:
			return f.ints(&parts.int64s)
		case 8:
			return f.text(&name)
		case 9:
			raw = []byte{} // present, even if empty
			err := f.message(&raw)
			return err
		case 10:
			return f.doubles(&parts.doubles)
		case 11:
			return f.ints(&parts.uint64s)
		case 13, 14:
			return f.external(&entries, &external)
		}
		return nil
	})
	if err != nil {
		return name, nil, 0, err
	}
	kind := ElementType(code)
	e, ok := kinds[kind]
	if !ok || int64(kind) != code {
		return name, nil, 0, fmt.Errorf("elements of %s cannot be read; export it as FLOAT", ElementType(code))
	}
	if !kind.IsFloat() && kind != Int64 {
		small = kind
	}
	shape, size, err := shapeOf(dims, e.size())
	if err != nil {
		return name, nil, 0, err
	}
	if external || entries != nil {
		t, err = folder.read(entries, kind, shape, size)
	} else if raw != nil {
		t, err = fromRaw(kind, shape, size, raw)
	} else {
		t, err = parts.tensor(kind, shape, size)
	}
	return name, t, small, err
}

// shapeOf checks dims and returns the number of elements.
func shapeOf(dims []int64, bytes int) (tensor.Shape, int, error) {
	const maxDims = 8
	if len(dims) > maxDims {
		return nil, 0, fmt.Errorf("has %d dimensions, where at most %d are possible; %s", len(dims), maxDims, damaged)
	}
	shape := make(tensor.Shape, len(dims))
	// Zeros are left out of the checked product, so that a size of zero cannot hide an
	// overflow elsewhere in the shape.
	product, empty := int64(1), false
	for i, d := range dims {
		if d < 0 || d > math.MaxInt32 {
			return nil, 0, fmt.Errorf("has a size of %d; %s", d, damaged)
		}
		shape[i] = int(d)
		if d == 0 {
			empty = true
			continue
		}
		if product > maxBytes/int64(bytes)/d {
			return nil, 0, fmt.Errorf("shape %v has more elements than a file can hold; %s", dims, damaged)
		}
		product *= d
	}
	if empty {
		return shape, 0, nil
	}
	return shape, int(product), nil
}

func fromRaw(kind ElementType, shape tensor.Shape, n int, raw []byte) (*tensor.Tensor, error) {
	e := kinds[kind]
	if size := n * e.size(); size != len(raw) {
		return nil, fmt.Errorf("shape %v of %v takes %d bytes, and there are %d; %s", shape, kind, size, len(raw), damaged)
	}
	return elements.Decode(e.dtype, shape, func(piece []byte) error {
		raw = raw[copy(piece, raw):]
		return nil
	})
}

// tensor converts the list that belongs to the type.
func (l *lists) tensor(kind ElementType, shape tensor.Shape, n int) (*tensor.Tensor, error) {
	short := func(have int) error {
		return fmt.Errorf("shape %v has %d elements, and there are %d of %v; %s", shape, n, have, kind, damaged)
	}
	var floats []float32
	var ints []int64
	switch kind {
	case Float:
		floats = l.floats
	case Double:
		floats = l.doubles
	case Int64:
		ints = l.int64s
	case Uint32, Uint64:
		ints = l.uint64s
	default:
		ints = l.int32s
	}
	if kind == Float16 || kind == BFloat16 { // stored as integers with the bits of the number
		if len(ints) != n {
			return nil, short(len(ints))
		}
		if err := Uint16.check(ints); err != nil {
			return nil, err
		}
		raw := make([]byte, 0, 2*n)
		for _, bits := range ints {
			raw = append(raw, byte(bits), byte(bits>>8))
		}
		return fromRaw(kind, shape, n, raw)
	}
	if kind.IsFloat() {
		if len(floats) != n {
			return nil, short(len(floats))
		}
		return tensor.FromSlice(floats, shape...), nil
	}
	if len(ints) != n {
		return nil, short(len(ints))
	}
	if err := kind.check(ints); err != nil {
		return nil, err
	}
	return tensor.FromInts(ints, shape...), nil
}

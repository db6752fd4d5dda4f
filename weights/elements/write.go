package elements

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/residual-ml/residual/tensor"
)

// Write writes the elements of a Float32 or Int64 tensor in row-major order,
// little-endian.
func Write(w io.Writer, t *tensor.Tensor) error {
	if t.DType() == tensor.Int64 {
		return WriteAs(w, t, "I64")
	}
	return WriteAs(w, t, "F32")
}

// WriteAs is Write for a stored type that CheckStored accepts. F32 and I64 keep every bit, BF16
// rounds to the nearest bfloat16, and I8 keeps the integers.
func WriteAs(w io.Writer, t *tensor.Tensor, dtype string) error {
	bits, _ := Bits(dtype)
	size := int(bits / 8)
	const piece = 64 << 10
	buf := make([]byte, 0, min(piece, t.Numel()*size))
	flush := func() error {
		if len(buf)+size <= cap(buf) {
			return nil
		}
		_, err := w.Write(buf)
		buf = buf[:0]
		return err
	}
	for _, v := range t.Data() {
		if err := flush(); err != nil {
			return err
		}
		if dtype == "BF16" {
			buf = binary.LittleEndian.AppendUint16(buf, tensor.ToBFloat16(v))
		} else {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
		}
	}
	for _, v := range t.Ints() {
		if err := flush(); err != nil {
			return err
		}
		if dtype == "I8" {
			buf = append(buf, byte(v))
		} else {
			buf = binary.LittleEndian.AppendUint64(buf, uint64(v))
		}
	}
	if len(buf) == 0 {
		return nil
	}
	_, err := w.Write(buf)
	return err
}

// CheckStored returns an error if WriteAs cannot store t as a type.
func CheckStored(t *tensor.Tensor, dtype string) error {
	switch of := t.DType(); {
	case of == tensor.Float32 && (dtype == "F32" || dtype == "BF16"), of == tensor.Int64 && dtype == "I64":
		return nil
	case of == tensor.Int64 && dtype == "I8":
		for _, v := range t.Ints() {
			if v != int64(int8(v)) {
				return fmt.Errorf("%d does not fit type I8; its elements are from -128 to 127", v)
			}
		}
		return nil
	}
	return fmt.Errorf("type %v cannot be stored as %s", t.DType(), Quote(dtype))
}

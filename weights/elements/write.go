package elements

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/residual-ml/residual/tensor"
)

// Write writes the elements of a Float32 or Int64 tensor in row-major order,
// little-endian.
func Write(w io.Writer, t *tensor.Tensor) error {
	const piece = 64 << 10
	buf := make([]byte, 0, min(piece, t.Numel()*t.DType().Size()))
	flush := func(room int) error {
		if len(buf)+room <= cap(buf) {
			return nil
		}
		_, err := w.Write(buf)
		buf = buf[:0]
		return err
	}
	for _, v := range t.Data() {
		if err := flush(4); err != nil {
			return err
		}
		buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
	}
	for _, v := range t.Ints() {
		if err := flush(8); err != nil {
			return err
		}
		buf = binary.LittleEndian.AppendUint64(buf, uint64(v))
	}
	if len(buf) == 0 {
		return nil
	}
	_, err := w.Write(buf)
	return err
}

// WriteInts writes integers as elements of the stored type, little-endian. The caller has checked that
// they are within its range.
func WriteInts(w io.Writer, dtype string, ints []int64) error {
	const piece = 64 << 10
	size := int(bits[dtype] / 8)
	buf := make([]byte, 0, min(piece, len(ints)*size))
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

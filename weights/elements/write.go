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

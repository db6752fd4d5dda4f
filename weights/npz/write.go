package npz

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

const (
	align   = 64       // alignment of the elements in an array file, in bytes
	newYear = 1<<5 | 1 // 1 January 1980, the first date that a zip file can hold, and numpy's choice
	maxName = 1<<16 - 1 - len(suffix)
)

// descriptions are NumPy's names of the types that can be written.
var descriptions = map[tensor.DType]string{tensor.Float32: "<f4", tensor.Int64: "<i8"}

// Write writes Float32 tensors as <f4 and Int64 tensors as <i8, in the given order
// and uncompressed. The same arguments give the same bytes. It returns an error
// when a name occurs twice or cannot name a zip entry, and the errors of w.
func Write(w io.Writer, tensors []tensor.Named) error {
	if err := checkWritable(tensors); err != nil {
		return fmt.Errorf("npz.Write: %w", err)
	}
	z := zip.NewWriter(w)
	for _, n := range tensors {
		// ModifiedDate, since Modified would add a second time to the header.
		//lint:ignore SA1019 Modified would change the bytes
		e, err := z.CreateHeader(&zip.FileHeader{Name: n.Name + suffix, Method: zip.Store, ModifiedDate: newYear})
		if err != nil {
			return err
		}
		if err := WriteArray(e, n.Tensor); err != nil {
			return err
		}
	}
	return z.Close()
}

// WriteArray writes one tensor in the format of numpy.save, a .npy file.
func WriteArray(w io.Writer, t *tensor.Tensor) error {
	header, err := arrayHeader(t)
	if err != nil {
		return fmt.Errorf("npz.WriteArray: %w", err)
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	return elements.Write(w, t)
}

func checkWritable(tensors []tensor.Named) error {
	seen := map[string]bool{}
	for _, n := range tensors {
		switch {
		case n.Name == "" || len(n.Name) > maxName || !utf8.ValidString(n.Name) || strings.ContainsAny(n.Name, "\x00\\"):
			return fmt.Errorf("%s cannot be the name of an array in a zip archive; rename it", elements.Quote(n.Name))
		case seen[n.Name]:
			return fmt.Errorf("tensor %s: given twice; give each a name of its own", elements.Quote(n.Name))
		case n.Tensor == nil:
			return fmt.Errorf("tensor %s: is nil", elements.Quote(n.Name))
		}
		if _, err := arrayHeader(n.Tensor); err != nil {
			return fmt.Errorf("tensor %s: %w", elements.Quote(n.Name), err)
		}
		seen[n.Name] = true
	}
	return nil
}

// arrayHeader is a Python dict, padded with spaces and a newline so that the elements
// are aligned.
func arrayHeader(t *tensor.Tensor) ([]byte, error) {
	description, ok := descriptions[t.DType()]
	if !ok {
		return nil, fmt.Errorf("type %v cannot be written; convert it to float32", t.DType())
	}
	b := append([]byte(magic), 1, 0, 0, 0) // version 1.0, and two bytes for the length
	b = append(b, "{'descr': '"+description+"', 'fortran_order': False, 'shape': ("...)
	shape := t.Shape()
	for i, d := range shape {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(strconv.AppendInt(b, int64(d), 10), ',')
	}
	if len(shape) > 1 {
		b = b[:len(b)-1] // only a tuple with one element ends with a comma
	}
	b = append(b, "), }"...)
	for (len(b)+1)%align != 0 {
		b = append(b, ' ')
	}
	b = append(b, '\n')
	length := len(b) - len(magic) - 4
	if length > 1<<16-1 {
		return nil, fmt.Errorf("a header of %d bytes for %d dimensions; reshape it", length, len(shape))
	}
	binary.LittleEndian.PutUint16(b[len(magic)+2:], uint16(length))
	return b, nil
}

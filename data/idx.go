package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/residual-ml/residual/tensor"
)

// idxArray is the content of an IDX file of unsigned bytes.
// Format: http://yann.lecun.com/exdb/mnist/, "the IDX file format".
type idxArray struct {
	dims []int
	data []uint8 // row-major
}

const (
	idxChunk   = 1 << 20 // the most bytes that are allocated before any data is read
	idxMaxRank = 4       // colour images
)

// readIDX reads an IDX file with the given number of dimensions and at most limit bytes of
// data. It allocates memory as data arrives rather than as the header promises, so a short
// file that claims to be large costs little; a header that claims more than limit is an
// error. Errors do not name the file; callers add its path.
func readIDX(r io.Reader, rank int, limit int64) (*idxArray, error) {
	dims, size, err := readIDXHeader(r, rank, limit)
	if err != nil {
		return nil, err
	}
	data := make([]uint8, 0, min(size, idxChunk))
	for int64(len(data)) < size {
		if len(data) == cap(data) {
			grown := make([]uint8, len(data), min(size, 2*int64(cap(data))))
			copy(grown, data)
			data = grown
		}
		n, err := io.ReadFull(r, data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("is cut short: the header promises %d bytes of data, there are %d", size, len(data))
		}
		if err != nil {
			return nil, err
		}
	}
	var extra [1]byte
	switch _, err := io.ReadFull(r, extra[:]); {
	case err == nil:
		return nil, fmt.Errorf("goes on after the %d bytes of data its header promises", size)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("is cut short: its compressed stream has no end")
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return &idxArray{dims, data}, nil
}

// readIDXHeader returns the dimensions and the number of bytes that must follow.
func readIDXHeader(r io.Reader, rank int, limit int64) ([]int, int64, error) {
	if rank < 1 || rank > idxMaxRank {
		panic(tensor.Misusef("data: IDX rank %d", rank))
	}
	var head [4 + 4*idxMaxRank]byte
	if _, err := io.ReadFull(r, head[:4+4*rank]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, 0, fmt.Errorf("is cut short inside its header of %d bytes", 4+4*rank)
		}
		return nil, 0, err
	}
	if want := 0x800 | uint32(rank); binary.BigEndian.Uint32(head[:]) != want {
		return nil, 0, fmt.Errorf("is not an IDX file of unsigned bytes with %d dimensions: it begins with 0x%08x, not 0x%08x",
			rank, binary.BigEndian.Uint32(head[:]), want)
	}
	dims, size := make([]int, rank), int64(1)
	for i := range dims {
		d := int64(binary.BigEndian.Uint32(head[4+4*i:]))
		if d == 0 || d > limit/size {
			return nil, 0, fmt.Errorf("claims an impossible size: dimension %d is %d, and there are at most %d bytes of data in such a file", i, d, limit)
		}
		size *= d
		dims[i] = int(d)
	}
	return dims, size, nil
}

// labelStats returns the smallest and the largest label and how often each class occurs. The
// error names the first label that is not below classes.
func labelStats(labels []uint8, classes int) (lo, hi int, histogram []int, err error) {
	histogram = make([]int, classes)
	lo, hi = 255, 0
	for i, l := range labels {
		lo, hi = min(lo, int(l)), max(hi, int(l))
		if int(l) < classes {
			histogram[l]++
		} else if err == nil {
			err = fmt.Errorf("label %d is %d, outside 0..%d", i, l, classes-1)
		}
	}
	return lo, hi, histogram, err
}

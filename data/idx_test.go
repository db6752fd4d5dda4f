package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"runtime"
	"strings"
	"testing"
)

// idxBytes writes an IDX file.
func idxBytes[T int | uint32](data []uint8, dims ...T) []byte {
	out := binary.BigEndian.AppendUint32(nil, 0x800|uint32(len(dims)))
	for _, d := range dims {
		out = binary.BigEndian.AppendUint32(out, uint32(d))
	}
	return append(out, data...)
}

func gz(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(content)
	w.Close()
	return b.Bytes()
}

func TestReadIDX(t *testing.T) {
	data := pillowPixels(3*4*5, "noise")
	good := idxBytes(data, 3, 4, 5)
	a, err := readIDX(bytes.NewReader(good), 3, 60)
	if err != nil || !bytes.Equal(a.data, data) || len(a.dims) != 3 || a.dims[0] != 3 || a.dims[1] != 4 || a.dims[2] != 5 {
		t.Fatalf("got %+v, %v", a, err)
	}
	large := pillowPixels(3*idxChunk+17, "noise") // several growths
	if a, err := readIDX(bytes.NewReader(idxBytes(large, len(large))), 1, 1<<30); err != nil || !bytes.Equal(a.data, large) {
		t.Fatalf("a large file is not read completely: %v", err)
	}
	wrongType := bytes.Clone(good)
	wrongType[2] = 0x0d // float32
	for _, c := range []struct {
		name string
		file []byte
		rank int
		want string
	}{
		{"empty", nil, 3, "inside its header"},
		{"half a header", good[:9], 3, "inside its header"},
		{"one byte missing", good[:len(good)-1], 3, "there are 59"},
		{"no data", good[:16], 3, "there are 0"},
		{"one byte more", append(bytes.Clone(good), 0), 3, "goes on after the 60 bytes"},
		{"labels for images", idxBytes(data, 60), 3, "not an IDX file of unsigned bytes with 3 dimensions"},
		{"floats", wrongType, 3, "0x00000d03"},
		{"no images", idxBytes(nil, 0, 4, 5), 3, "dimension 0 is 0"},
		{"overflow", idxBytes[uint32](data, 1<<32-1, 1<<32-1, 1<<32-1), 3, "impossible size"},
		{"overflow to a small product", idxBytes[uint32](data, 1<<31, 1<<31, 4), 3, "impossible size"},
		{"over the limit", idxBytes(data, 61), 1, "at most 60"},
	} {
		if _, err := readIDX(bytes.NewReader(c.file), c.rank, 60); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// A file of a few bytes that claims a gigabyte costs little memory.
func TestReadIDXAllocation(t *testing.T) {
	file := idxBytes(make([]byte, 8), 1<<30)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readIDX(bytes.NewReader(file), 1, 1<<40)
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Fatal("no error")
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 4*idxChunk {
		t.Errorf("allocated %d bytes for a file of %d", n, len(file))
	}
}

func FuzzReadIDX(f *testing.F) {
	f.Add(idxBytes(make([]byte, 6), 6), 1)
	f.Add(idxBytes(make([]byte, 12), 2, 2, 3), 3)
	f.Add(idxBytes[uint32](nil, 1<<31, 1<<31), 2)
	f.Add(gz(idxBytes(make([]byte, 12), 2, 2, 3)), 3)
	f.Fuzz(func(t *testing.T, file []byte, rank int) {
		rank = 1 + int(uint(rank)%idxMaxRank)
		const limit = 1 << 22
		r, err := newContentReader(t.Context(), bytes.NewReader(file))
		if err != nil {
			return
		}
		a, err := readIDX(r, rank, limit)
		if err != nil {
			return
		}
		n := 1
		for _, d := range a.dims {
			n *= d
		}
		if len(a.dims) != rank || n != len(a.data) || n > limit {
			t.Fatalf("dimensions %v over %d bytes", a.dims, len(a.data))
		}
		content, err := newContentReader(t.Context(), bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(content)
		if err != nil || !bytes.Equal(all, idxBytes(a.data, a.dims...)) {
			t.Fatalf("the arrays, written again, give another file (%v)", err)
		}
	})
}

package npz

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// sample returns what testdata/numpy_savez.py saves, computed by the same formula.
func sample() []tensor.Named {
	long := tensor.New(3, 20_001)
	for i := range long.Data() {
		long.Data()[i] = float32(i) / 8
	}
	return []tensor.Named{
		{Name: "layer1.0.weight", Tensor: tensor.FromSlice([]float32{1, -2.5, float32(math.Inf(1)), 0, 1e-40, float32(math.Copysign(0, -1))}, 2, 3)},
		{Name: "counter", Tensor: tensor.FromInts([]int64{math.MinInt64})},
		{Name: "labels", Tensor: tensor.FromInts([]int64{1, 2, 3}, 3)},
		{Name: "long", Tensor: long},
		{Name: "empty", Tensor: tensor.New(4, 0, 2)},
		{Name: "größe", Tensor: tensor.FromSlice([]float32{7}, 1, 1, 1, 1)},
	}
}

func written(t *testing.T, tensors []tensor.Named) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Every array has the bytes that numpy.savez writes.
func TestArraysAreNumPys(t *testing.T) {
	text, err := os.ReadFile("testdata/savez.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Arrays []struct{ Name, Head, SHA256 string }
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	b := written(t, sample())
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != len(want.Arrays) || len(want.Arrays) == 0 {
		t.Fatalf("%d entries, numpy wrote %d", len(z.File), len(want.Arrays))
	}
	for i, f := range z.File {
		w := want.Arrays[i]
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r) // compares the checksum, too
		if err != nil {
			t.Fatal(err)
		}
		head := string(content[:min(len(content), 128)])
		if sum := sha256.Sum256(content); f.Name != w.Name || hex.EncodeToString(sum[:]) != w.SHA256 {
			t.Errorf("%s differs from numpy's %s: it begins with\n%q, numpy's with\n%q", f.Name, w.Name, head, w.Head)
		}
		if f.Method != zip.Store || f.ModifiedTime != 0 || f.ModifiedDate != newYear || len(f.Extra) != 0 {
			t.Errorf("%s: method %d, time %d %d, extra %x", f.Name, f.Method, f.ModifiedDate, f.ModifiedTime, f.Extra)
		}
	}
	if !bytes.Equal(b, written(t, sample())) {
		t.Error("the same tensors gave other bytes")
	}
}

// The header follows the format's description: magic, version, length, a dict that ends
// with a newline, and elements at a multiple of 64.
func TestHeader(t *testing.T) {
	for _, c := range []struct {
		tensor *tensor.Tensor
		dict   string
	}{
		{tensor.FromSlice([]float32{1}), "{'descr': '<f4', 'fortran_order': False, 'shape': (), }"},
		{tensor.New(5), "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }"},
		{tensor.FromInts(nil, 0, 12, 3), "{'descr': '<i8', 'fortran_order': False, 'shape': (0, 12, 3), }"},
		{tensor.New(ones(60)...), "{'descr': '<f4', 'fortran_order': False, 'shape': (" + strings.Repeat("1, ", 59) + "1), }"},
	} {
		var b bytes.Buffer
		if err := WriteArray(&b, c.tensor); err != nil {
			t.Fatal(err)
		}
		head := b.Bytes()[:b.Len()-c.tensor.Numel()*c.tensor.DType().Size()]
		if len(head)%64 != 0 || string(head[:8]) != "\x93NUMPY\x01\x00" || int(head[8])+int(head[9])<<8 != len(head)-10 ||
			head[len(head)-1] != '\n' || strings.TrimRight(string(head[10:len(head)-1]), " ") != c.dict {
			t.Errorf("header %q, want %s", head, c.dict)
		}
	}
}

// ones returns a shape of n dimensions of size one.
func ones(n int) []int {
	shape := make([]int, n)
	for i := range shape {
		shape[i] = 1
	}
	return shape
}

func TestWriteRefuses(t *testing.T) {
	one := tensor.New(1)
	for _, c := range []struct {
		tensors []tensor.Named
		want    string
	}{
		{[]tensor.Named{{Name: "a", Tensor: one}, {Name: "a", Tensor: one}}, `tensor "a": given twice`},
		{[]tensor.Named{{Name: "a", Tensor: nil}}, `tensor "a": is nil`},
		{[]tensor.Named{{Name: "", Tensor: one}}, "cannot be the name"},
		{[]tensor.Named{{Name: "\xff", Tensor: one}}, "cannot be the name"},
		{[]tensor.Named{{Name: "a\x00b", Tensor: one}}, "cannot be the name"},
		{[]tensor.Named{{Name: strings.Repeat("x", maxName+1), Tensor: one}}, "cannot be the name"},
		{[]tensor.Named{{Name: "deep", Tensor: tensor.New(ones(30_000)...)}}, `tensor "deep": a header of`},
	} {
		var b bytes.Buffer
		if err := Write(&b, c.tensors); err == nil || !strings.Contains(err.Error(), c.want) || b.Len() > 0 {
			t.Errorf("want %q and nothing written, got %v and %d bytes", c.want, err, b.Len())
		}
	}
}

// failAfter fails the write that exceeds its room.
type failAfter struct{ room int }

func (w *failAfter) Write(p []byte) (int, error) {
	if len(p) > w.room {
		return 0, os.ErrClosed
	}
	w.room -= len(p)
	return len(p), nil
}

func TestWriteReportsEveryFailure(t *testing.T) {
	complete := len(written(t, sample()))
	for room := 0; room < complete; room += 1 + room/3 {
		if err := Write(&failAfter{room}, sample()); err != os.ErrClosed {
			t.Errorf("disk full after %d of %d bytes: %v", room, complete, err)
		}
	}
	if err := Write(&failAfter{complete - 1}, sample()); err != os.ErrClosed {
		t.Errorf("disk full one byte short: %v", err)
	}
}

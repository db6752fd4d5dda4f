package safetensors

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/residual-ml/residual/tensor"
)

func readBytes(b []byte) (*File, error) {
	return Read(bytes.NewReader(b), int64(len(b)), "model.safetensors")
}

// sameBits compares tensors bit by bit, so that NaN equals itself and -0 is not 0.
func sameBits(a, b *tensor.Tensor) bool {
	return a.DType() == b.DType() && a.Shape().Equal(b.Shape()) && slices.Equal(a.Ints(), b.Ints()) &&
		slices.EqualFunc(a.Data(), b.Data(), func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

func sample() []tensor.Named {
	long := tensor.New(3, 20_001) // longer than one piece of the reader and the writer
	for i := range long.Data() {
		long.Data()[i] = float32(i) / 7
	}
	nan := math.Float32frombits(0x7fc12345)
	return []tensor.Named{
		{Name: "z.bias", Tensor: tensor.FromSlice([]float32{1, -2.5, nan}, 3)},
		{Name: "bn1.num_batches_tracked", Tensor: tensor.FromInts([]int64{math.MinInt64}, []int{}...)},
		{Name: "long", Tensor: long},
		{Name: "empty", Tensor: tensor.New(4, 0)},
		{Name: `odd "name" <ü>` + "\n", Tensor: tensor.FromSlice([]float32{float32(math.Copysign(0, -1))}, 1, 1)},
		{Name: "labels", Tensor: tensor.FromInts([]int64{1, 2, 3}, 3)},
	}
}

func TestRoundTrip(t *testing.T) {
	tensors := sample()
	meta := map[string]string{"format": "pt", "a<b": "ü\n\"", "": ""}
	var b bytes.Buffer
	if err := Write(&b, tensors, meta); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if d := cmp.Diff(meta, f.Metadata()); d != "" {
		t.Errorf("metadata (-written +read):\n%s", d)
	}
	var names []string
	for _, n := range tensors {
		names = append(names, n.Name)
		got, err := f.Tensor(n.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !sameBits(n.Tensor, got) {
			t.Errorf("%q: wrote %v, read %v", n.Name, n.Tensor, got)
		}
	}
	if d := cmp.Diff(names, f.Names()); d != "" {
		t.Errorf("names (-written +read):\n%s", d)
	}
	if _, err := f.Tensor("absent"); err == nil || !strings.Contains(err.Error(), `no tensor "absent"`) {
		t.Errorf("an absent tensor: %v", err)
	}
	if _, _, ok := f.Info("absent"); ok {
		t.Error("Info knows an absent tensor")
	}
	if dtype, shape, ok := f.Info("long"); !ok || dtype != "F32" || !shape.Equal(tensor.Shape{3, 20_001}) {
		t.Errorf("Info(long) = %s %v %v", dtype, shape, ok)
	}
}

// The bytes of a file are fixed: sorted metadata, a header in the given order padded to
// eight bytes, and Int64 data first.
func TestWriteBytes(t *testing.T) {
	var b bytes.Buffer
	err := Write(&b, []tensor.Named{
		{Name: "b", Tensor: tensor.FromSlice([]float32{1}, 1)},
		{Name: "a", Tensor: tensor.FromInts([]int64{-2}, 1)},
	}, map[string]string{"y": "2", "x": "1"})
	if err != nil {
		t.Fatal(err)
	}
	text := `{"__metadata__":{"x":"1","y":"2"},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},` +
		`"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`
	text += strings.Repeat(" ", (8-len(text)%8)%8)
	want := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	want = append(append(want, text...), "\xfe\xff\xff\xff\xff\xff\xff\xff\x00\x00\x80\x3f"...)
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("got\n%q\nwant\n%q", b.Bytes(), want)
	}
}

func TestWriteNothing(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, nil, nil); err != nil {
		t.Fatal(err)
	}
	if want := "\x08\x00\x00\x00\x00\x00\x00\x00{}      "; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	if f, err := readBytes(b.Bytes()); err != nil || len(f.Names()) != 0 || f.Metadata() != nil {
		t.Errorf("reading it back: %v, %v", f, err)
	}
}

func TestWriteRefuses(t *testing.T) {
	one := tensor.New(1)
	for _, c := range []struct {
		tensors []tensor.Named
		meta    map[string]string
		want    string
	}{
		{[]tensor.Named{{Name: "a", Tensor: one}, {Name: "a", Tensor: one}}, nil, `tensor "a": given twice`},
		{[]tensor.Named{{Name: "a", Tensor: nil}}, nil, `tensor "a": is nil`},
		{[]tensor.Named{{Name: "__metadata__", Tensor: one}}, nil, "cannot be the name"},
		{[]tensor.Named{{Name: "\xff", Tensor: one}}, nil, "cannot be the name"},
		{nil, map[string]string{"k": "\xff"}, `metadata "k": is not UTF-8`},
		{nil, map[string]string{"k": strings.Repeat("x", maxHeader+1)}, "shorten the metadata"},
	} {
		var b bytes.Buffer
		if err := Write(&b, c.tensors, c.meta); err == nil || !strings.Contains(err.Error(), c.want) || b.Len() > 0 {
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
	var complete bytes.Buffer
	if err := Write(&complete, sample(), nil); err != nil {
		t.Fatal(err)
	}
	for room := 0; room < complete.Len(); room += 1 + room/2 {
		if err := Write(&failAfter{room}, sample(), nil); err != os.ErrClosed {
			t.Errorf("disk full after %d of %d bytes: %v", room, complete.Len(), err)
		}
	}
	if err := Write(&failAfter{complete.Len() - 1}, sample(), nil); err != os.ErrClosed {
		t.Errorf("disk full one byte short: %v", err)
	}
}

// testdata/types.safetensors holds every type together with NumPy's own conversion of it.
func TestTypesAgainstNumpy(t *testing.T) {
	f, err := Open("testdata/types.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read := map[string]bool{}
	for _, name := range f.Names() {
		if !strings.HasSuffix(name, ".want") {
			continue
		}
		source := strings.TrimSuffix(name, ".want")
		got, err := f.Tensor(source)
		if err != nil {
			t.Error(err)
			continue
		}
		want, err := f.Tensor(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if !sameBits(got, want) {
			t.Errorf("%s: got %v, want %v", source, got, want)
		}
		dtype, _, _ := f.Info(source)
		read[dtype] = true
	}
	for _, dtype := range Types() {
		if !read[dtype] {
			t.Errorf("the fixture does not show type %s", dtype)
		}
	}
	if _, err := f.Tensor("unreadable"); err == nil || !strings.Contains(err.Error(), "F8_E4M3 cannot be read") {
		t.Errorf("an F8 tensor: %v", err)
	}
	if f.Metadata()["made by"] != "make_types.py" {
		t.Errorf("metadata %v", f.Metadata())
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir:                          "not a regular file",
		filepath.Join(dir, "absent"): "check the path",
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: want %q, got %v", path, want, err)
		}
	}
}

// Reading from an open file that is truncated returns an error that names it; an open file
// that is replaced by a rename is read as it was.
func TestOpenFileChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "net.safetensors")
	big := tensor.Named{Name: "big", Tensor: tensor.New(100_000).Fill(1)}
	write := func(path string, n tensor.Named) {
		var b bytes.Buffer
		if err := Write(&b, []tensor.Named{n}, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(path, big)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write(path+".new", tensor.Named{Name: "big", Tensor: tensor.New(100_000).Fill(2)})
	if err := os.Rename(path+".new", path); err != nil {
		t.Skipf("an open file cannot be replaced here: %v", err)
	}
	if x, err := f.Tensor("big"); err != nil || !sameBits(x, big.Tensor) {
		t.Errorf("replaced by another file: %v, %v", x, err)
	}
	other, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := os.Truncate(path, 200_001); err != nil {
		t.Skipf("an open file cannot be cut short here: %v", err)
	}
	if _, err := other.Tensors(); err == nil || !strings.HasPrefix(err.Error(), path+`: tensor "big": reading 400000 bytes`) {
		t.Errorf("cut short: %v", err)
	}
}

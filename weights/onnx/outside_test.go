package onnx

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// entry is one of the entries that say where a tensor is.
func entry(key, value string) []byte {
	return appendMessage(nil, 13, appendText(appendText(nil, 1, key), 2, value))
}

// inFile returns a tensor whose elements are in another file.
func inFile(name string, t ElementType, size int64, entries ...[]byte) []byte {
	return weight(name, dims(size), kind(t), bytes.Join(entries, nil), appendInt(nil, 14, 1))
}

// beside writes a model with these weights, and a file with 64 numbers next to it.
func beside(t *testing.T, weights ...[]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	var numbers []byte
	for i := range 64 {
		numbers = binary.LittleEndian.AppendUint32(numbers, math.Float32bits(float32(i)/8))
	}
	path := filepath.Join(dir, "m.onnx")
	for name, b := range map[string][]byte{
		path: file(append(weights, input("x"), node("Op", "y", "x"), output("y"))...), path + ".data": numbers, filepath.Join(dir, "..", "above"): numbers,
	} {
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// Weights are read from files beside the model, at any offset and in every type, and also
// after another file was read.
func TestExternalData(t *testing.T) {
	here, other := entry("location", "m.onnx.data"), entry("location", "more")
	path := beside(t,
		inFile("a", Float, 3, here, entry("offset", "8"), entry("length", "12"), entry("checksum", "any")),
		inFile("b", Float, 2, other),
		inFile("c", Float16, 2, here, entry("offset", "252"), entry("length", "4")),
		inFile("none", Float, 0, here, entry("offset", "256")))
	more := binary.LittleEndian.AppendUint64(nil, 0x7fc12345_80000000) // -0 and a NaN with a payload
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "more"), more, 0o666); err != nil {
		t.Fatal(err)
	}
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	top := math.Float32bits(63. / 8)
	want := map[string][]uint32{
		"a": {math.Float32bits(2. / 8), math.Float32bits(3. / 8), math.Float32bits(4. / 8)}, "b": {0x80000000, 0x7fc12345},
		"c": {0, math.Float32bits(float32(top>>16&0x3ff|0x400) / 1024 * float32(math.Pow(2, float64(top>>26&31)-15)))}, "none": {},
	}
	for _, i := range m.Graph.Initialisers {
		if len(i.Tensor.Data()) != len(want[i.Name]) {
			t.Fatalf("%s has %d elements", i.Name, len(i.Tensor.Data()))
		}
		for j, v := range i.Tensor.Data() {
			if math.Float32bits(v) != want[i.Name][j] {
				t.Errorf("%s[%d] is %x, wants %x", i.Name, j, math.Float32bits(v), want[i.Name][j])
			}
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(b, "m.onnx"); err == nil || !strings.Contains(err.Error(), "external_data=False") {
		t.Errorf("bytes without a folder: %v", err)
	}
}

// Beside lists the files even if they do not exist.
func TestExternalFilesAreListed(t *testing.T) {
	path := beside(t,
		inFile("a", Float, 3, entry("location", "gone.data"), entry("offset", "8")),
		inFile("b", Float, 1<<28, entry("location", "../above")),
		weight("c", dims(1), kind(Float), appendText(nil, 9, "1234")),
		inFile("d", Float, 1, entry("location", "gone.data")))
	names, err := Beside(path)
	if err != nil || !slices.Equal(names, []string{"gone.data", "../above"}) {
		t.Errorf("%q, %v", names, err)
	}
	if names, err = Beside(beside(t, weight("c", dims(1), kind(Float), appendText(nil, 9, "1234")))); err != nil || names != nil {
		t.Errorf("with all weights inside: %q, %v", names, err)
	}
	for want, b := range map[string][]byte{
		"names no file": file(inFile("w", Float, 1)), "byte 0 of the message": {0xff}, "100 entries": file(inFile("w", Float, 1, bytes.Repeat(entry("k", "v"), 1000))),
	} {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Beside(path); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// The reader checks what a model says about other files, and reads nothing outside its
// folder.
func TestHostileExternalData(t *testing.T) {
	here := entry("location", "m.onnx.data")
	for what, c := range map[string]struct {
		want    string
		weights [][]byte
	}{
		"no such file":           {"no such file", [][]byte{inFile("w", Float, 1, entry("location", "gone"))}},
		"above":                  {"escapes", [][]byte{inFile("w", Float, 1, entry("location", "../above"))}},
		"above, by a way round":  {"escapes", [][]byte{inFile("w", Float, 1, entry("location", "sub/../../above"))}},
		"absolute":               {"escapes", [][]byte{inFile("w", Float, 1, entry("location", "/etc/passwd"))}},
		"a link out":             {"escapes", [][]byte{inFile("w", Float, 1, entry("location", "link"))}},
		"a folder":               {"not a regular file", [][]byte{inFile("w", Float, 1, entry("location", "sub"))}},
		"no location":            {"names no file", [][]byte{inFile("w", Float, 1, entry("offset", "0"))}},
		"nothing said":           {"names no file", [][]byte{inFile("w", Float, 1)}},
		"location twice":         {`says "location" twice`, [][]byte{inFile("w", Float, 1, here, here)}},
		"offset of words":        {`the offset "one"`, [][]byte{inFile("w", Float, 1, here, entry("offset", "one"))}},
		"offset below 0":         {`the offset "-4"`, [][]byte{inFile("w", Float, 1, here, entry("offset", "-4"))}},
		"offset of 2^63":         {`the offset "9223372036854775808"`, [][]byte{inFile("w", Float, 1, here, entry("offset", "9223372036854775808"))}},
		"offset at the very end": {"takes 4 bytes at 9223372036854775807 of", [][]byte{inFile("w", Float, 1, here, entry("offset", "9223372036854775807"))}},
		"past the end":           {"takes 8 bytes at 252 of", [][]byte{inFile("w", Float, 2, here, entry("offset", "252"))}},
		"huge":                   {"takes 1073741824 bytes at 0 of", [][]byte{inFile("w", Float, 1<<28, here)}},
		"another length":         {"has 12", [][]byte{inFile("w", Float, 2, here, entry("length", "12"))}},
		"shared":                 {"shares bytes", [][]byte{inFile("v", Float, 40, here), inFile("w", Float, 40, here)}},
		"shared, not in turn":    {"shares bytes", [][]byte{inFile("u", Float, 40, here), inFile("v", Float, 1, entry("location", "other")), inFile("w", Float, 40, here)}},
		"a thousand entries":     {"more than 100 entries", [][]byte{inFile("w", Float, 1, bytes.Repeat(entry("k", "v"), 1000))}},
	} {
		path := beside(t, c.weights...)
		dir := filepath.Dir(path)
		if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 4), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(dir, "..", "above"), filepath.Join(dir, "link")); err != nil && what == "a link out" {
			continue // on Windows only some users may create links
		}
		var err error
		if got := allocated(func() { _, err = Open(path) }); got > 1<<18 {
			t.Errorf("%s: allocated %d bytes", what, got)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path+": initialiser \"") || !strings.Contains(err.Error(), "; ") {
			t.Errorf("%s: want %q in %v", what, c.want, err)
		}
	}
}

// Whatever a model and the file beside it contain, memory stays in proportion to both.
func FuzzOpen(f *testing.F) {
	here := entry("location", "m.onnx.data")
	for _, w := range [][]byte{
		inFile("w", Float, 3, here, entry("offset", "4"), entry("length", "12")), inFile("w", Uint8, 16, here), inFile("w", Float, 1<<28, here),
		append(inFile("v", Float16, 8, here), inFile("w", Double, 2, here)...), append(inFile("v", Float, 3, here), inFile("w", Float, 3, here)...),
	} {
		f.Add(file(w, input("x"), node("Op", "y", "x"), output("y")), make([]byte, 16))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b, data []byte) {
		path := filepath.Join(dir, "m.onnx")
		for name, b := range map[string][]byte{path: b, path + ".data": data} {
			if err := os.WriteFile(name, b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		limit := uint64(1<<20 + perByte*(len(b)+len(data))) // as for FuzzRead
		if got := allocated(func() { Open(path); Beside(path) }); got > limit {
			t.Errorf("allocated %d bytes for files of %d and %d", got, len(b), len(data))
		}
	})
}

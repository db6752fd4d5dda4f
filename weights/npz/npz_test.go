package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/elements"
)

func readBytes(b []byte) (*File, error) {
	return Read(bytes.NewReader(b), int64(len(b)), "model.npz")
}

// sameBits compares tensors bit by bit, so that NaN equals itself and -0 is not 0.
func sameBits(a, b *tensor.Tensor) bool {
	return a.DType() == b.DType() && a.Shape().Equal(b.Shape()) && slices.Equal(a.Ints(), b.Ints()) &&
		slices.EqualFunc(a.Data(), b.Data(), func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// testdata/types.npz holds every type together with NumPy's own conversion of it.
func TestTypesAgainstNumPy(t *testing.T) {
	f, err := Open("testdata/types.npz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := f.Tensors()
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	for _, name := range f.Names() {
		if strings.HasSuffix(name, ".want") {
			continue
		}
		if got, want := all[name], all[name+".want"]; want == nil || !sameBits(got, want) {
			t.Errorf("%s: read %v, NumPy has %v", name, got, want)
		}
		dtype, shape, ok := f.Info(name)
		if !ok || !shape.Equal(all[name].Shape()) {
			t.Errorf("Info(%s) = %s %v %v", name, dtype, shape, ok)
		}
		read[dtype] = true
	}
	for _, dtype := range elements.Types() {
		if !read[dtype] && dtype != "BF16" { // a type that NumPy lacks
			t.Errorf("the fixture does not show type %s", dtype)
		}
	}
	if _, err := f.Tensor("absent"); err == nil || !strings.Contains(err.Error(), `no array "absent"`) {
		t.Errorf("an absent array: %v", err)
	}
	if _, _, ok := f.Info("absent"); ok {
		t.Error("Info knows an absent array")
	}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.npz")
	if err := os.WriteFile(path, written(t, sample()), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, n := range sample() {
		got, err := f.Tensor(n.Name)
		if err != nil || !sameBits(got, n.Tensor) || f.Names()[i] != n.Name {
			t.Errorf("%q: wrote %v, read %v, %v", n.Name, n.Tensor, got, err)
		}
	}
}

// raw returns an array file with any header.
func raw(header string, data int) []byte {
	b := append([]byte(magic), 1, 0, 0, 0)
	binary.LittleEndian.PutUint16(b[8:], uint16(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func zipped(name string, content []byte, method uint16) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	e, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
	if err == nil {
		_, err = e.Write(content)
	}
	if err != nil || w.Close() != nil {
		panic(err)
	}
	return b.Bytes()
}

type hostileFile struct {
	what string
	file []byte
	want string // part of the error; empty when the file is valid
}

func hostile() []hostileFile {
	var files []hostileFile
	array := func(what string, content []byte, want string) {
		files = append(files, hostileFile{what, zipped("a.npy", content, zip.Store), want})
	}
	header := func(what, text string, data int, want string) { array(what, raw(text, data), want) }
	shape := func(what, shape string, data int, want string) {
		header(what, "{'descr': '<f4', 'fortran_order': False, 'shape': "+shape+", }", data, want)
	}
	kind := func(descr string) string { return "{'descr': " + descr + ", 'fortran_order': False, 'shape': (2,), }" }
	shape("good", "(2, 2)", 16, "")
	shape("good, of Python 2", "(2L, 2L)", 16, "")
	header("good, in another order", `{"shape":(2,),"fortran_order":True,"descr":">f4"}`, 8, "")
	text := kind("'<f4'")
	version2 := append([]byte(magic), 2, 0, byte(len(text)), 0, 0, 0)
	array("good, version 2", append(append(version2, text...), make([]byte, 8)...), "")

	shape("too few bytes", "(2, 2)", 15, "shape [2, 2] of F32 takes 16 bytes, but the archive holds 15")
	shape("too many bytes", "(2, 2)", 17, "but the archive holds 17")
	shape("product wraps", "(4294967296, 4294967296, 4)", 16, "more elements than can be counted")
	shape("overflow hidden by a zero", "(4294967296, 4294967296, 0)", 0, "more elements than can be counted")
	shape("2^50 elements", "(1125899906842624,)", 16, "takes 4503599627370496 bytes")
	shape("negative size", "(-2, -2)", 16, "no shape of up to 64 sizes")
	shape("a size of 2^63", "(9223372036854775808,)", 16, "no shape")
	shape("a size in hexadecimal", "(0x2,)", 8, "no shape")
	shape("a number", "2", 8, "no shape")
	shape("no comma in a tuple of one", "(2)", 8, "no shape")
	shape("no comma in a tuple of two", "(1 2)", 8, "no shape")
	shape("two commas", "(2,,)", 8, "no shape")
	shape("not closed", "(2,", 8, "no shape")
	shape("65 dimensions", "("+strings.Repeat("1, ", 65)+")", 4, "no shape of up to 64 sizes")
	shape("a call", "(__import__('os').system('true'),)", 4, "no shape")
	header("Python objects", kind("'|O'"), 16, `type "|O" cannot be read`)
	header("complex", kind("'<c8'"), 16, `type "<c8" cannot be read`)
	header("text", kind("'<U4'"), 32, `type "<U4" cannot be read`)
	header("dates", kind("'<M8[ns]'"), 16, "cannot be read")
	header("native order", kind("'=f4'"), 8, `type "=f4" cannot be read`)
	header("no order", kind("'|f4'"), 8, `type "|f4" cannot be read`)
	header("no type", kind("''"), 8, `type "" cannot be read`)
	header("records", kind("[('x', '<f4')]"), 8, "holds records")
	header("escapes", kind(`'<f\x34'`), 8, "holds records and no plain numbers")
	header("no header", "", 8, "no dict")
	header("a list", "[]", 8, "no dict")
	header("empty dict", "{}", 8, "other than descr, fortran_order and shape")
	header("key twice", "{'shape': (2,), 'shape': (2,), }", 8, "occurs twice")
	header("no shape", "{'descr': '<f4', 'fortran_order': False, }", 8, "other than descr")
	header("unknown key", strings.Replace(text, "'shape'", "'form'", 1), 8, "an unknown key")
	header("order a number", strings.Replace(text, "False", "0", 1), 8, "neither True nor False")
	header("commas missing", strings.ReplaceAll(text, ", '", " '"), 8, "no comma")
	header("text behind", text+"; import os", 8, "other than descr")
	header("dict not closed", strings.TrimSuffix(text, "}"), 8, "no key")
	array("version 9", append([]byte(magic), 9, 0, 0, 0, 0, 0), "version 9 of the array format")
	array("wrong magic", []byte("\x93NUMPX\x01\x00\x00\x00\x00\x00"), "does not begin as an array")
	array("eleven bytes", raw("", 0)[:9], "does not begin as an array")
	array("header past the end", append([]byte(magic), 1, 0, 0xff, 0xff, '{', '}'), "a header of 65535 bytes in 12")
	array("header of 4 GB", append([]byte(magic), 2, 0, 0xff, 0xff, 0xff, 0xff), "a header of 4294967295 bytes")
	array("no bytes", nil, "does not begin as an array")
	good := raw(text, 8)
	return append(files,
		hostileFile{"compressed", zipped("a.npy", good, zip.Deflate), `entry "a.npy": is compressed`},
		hostileFile{"bomb", zipped("a.npy", raw("{'descr': '|u1', 'fortran_order': False, 'shape': (67108864,), }", 64<<20), zip.Deflate), "is compressed"},
		hostileFile{"no array", zipped("a.txt", good, zip.Store), `entry "a.txt": is no array`},
		hostileFile{"name that climbs", zipped("../a.npy", good, zip.Store), "is no path inside the archive"},
		hostileFile{"a lone array", good, "reading the zip archive's table"},
		hostileFile{"nothing", nil, "reading the zip archive's table"},
	)
}

func TestHostileFiles(t *testing.T) {
	most := uint64(0)
	for _, c := range hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := readBytes(c.file)
		runtime.ReadMemStats(&after)
		cost := after.TotalAlloc - before.TotalAlloc
		if most = max(most, cost); cost > uint64(1<<18+10*len(c.file)) {
			t.Errorf("%s: %d bytes allocated for a file of %d", c.what, cost, len(c.file))
		}
		switch {
		case c.want == "" && err == nil:
			if _, err = f.Tensors(); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		case c.want == "" || err == nil || !strings.Contains(err.Error(), c.want) && !tooLarge(err):
			t.Errorf("%s: want %q, got %v", c.what, c.want, err)
		case !strings.HasPrefix(err.Error(), "model.npz: ") || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "; "):
			t.Errorf("%s: %q is not one line of file, fault and next step", c.what, err)
		}
	}
	t.Logf("at most %d KB allocated for one", most>>10)
}

// Whatever the reader accepts can be read, and written again without a change.
func FuzzRead(f *testing.F) {
	for _, c := range hostile() {
		if len(c.file) < 1<<12 {
			f.Add(c.file)
		}
	}
	types, err := os.ReadFile("testdata/types.npz")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(types)
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := readBytes(b)
		if err != nil {
			return
		}
		var tensors []tensor.Named
		total := 0
		for _, name := range file.Names() {
			x, err := file.Tensor(name)
			if err != nil {
				continue
			}
			total += x.Numel()
			tensors = append(tensors, tensor.Named{Name: name, Tensor: x})
		}
		if total > len(b) {
			t.Fatalf("%d elements out of %d bytes", total, len(b))
		}
		var again bytes.Buffer
		if err := Write(&again, tensors); err != nil {
			if strings.Contains(err.Error(), "cannot be the name") {
				return
			}
			t.Fatal(err)
		}
		second, err := readBytes(again.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range tensors {
			if x, err := second.Tensor(n.Name); err != nil || !sameBits(n.Tensor, x) {
				t.Fatalf("%q: %v became %v (%v)", n.Name, n.Tensor, x, err)
			}
		}
	})
}

// tooLarge reports whether err is about sizes that do not fit a 32-bit int.
func tooLarge(err error) bool {
	return strconv.IntSize == 32 && strings.Contains(err.Error(), "no shape of up to 64 sizes")
}

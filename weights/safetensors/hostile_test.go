package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// raw returns a header preceded by its length and followed by zeros.
func raw(text string, dataLen int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(b, text...), make([]byte, dataLen)...)
}

type hostileFile struct {
	what string
	file []byte
	want string // part of the error; empty when the file is valid
}

// hostile is the table of the test below and the seed of the fuzz corpus.
func hostile() []hostileFile {
	entry := func(fields string) string { return `{"t":{` + fields + `}}` }
	good := entry(`"dtype":"F32","shape":[2,2],"data_offsets":[0,16]`)
	length := func(n uint64, rest string) []byte { return append(binary.LittleEndian.AppendUint64(nil, n), rest...) }
	shape := func(s string, end int) []byte {
		return raw(entry(fmt.Sprintf(`"dtype":"F32","shape":%s,"data_offsets":[0,%d]`, s, end)), end)
	}
	offsets := func(s string) []byte { return raw(entry(`"dtype":"F32","shape":[2,2],"data_offsets":`+s), 16) }
	two := func(a, b string, data int) []byte {
		return raw(`{"a":{"dtype":"U8","shape":[8],"data_offsets":`+a+`},"b":{"dtype":"U8","shape":[8],"data_offsets":`+b+`}}`, data)
	}
	return []hostileFile{
		{"good", raw(good, 16), ""},
		{"good, padded", raw(good+"   ", 16), ""},
		{"good, spaced", raw("{ \"t\" :\n{ \"shape\":[ 4 ], \"data_offsets\":[0,4],\"dtype\":\"U8\"} }", 4), ""},
		{"good, data not in header order", two("[8,16]", "[0,8]", 16), ""},
		{"good, empty tensors in between", raw(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"e":{"dtype":"F32","shape":[0],"data_offsets":[1,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), ""},
		{"good, four-bit elements", raw(entry(`"dtype":"F4","shape":[3,2],"data_offsets":[0,3]`), 3), ""},

		{"no bytes", nil, "0 bytes are too few"},
		{"seven bytes", []byte("1234567"), "7 bytes are too few"},
		{"length past the end", length(40, "{}"), "header of 40 bytes in a file of 10"},
		{"length of 2^64-1", length(math.MaxUint64, "{}"), "more than the 100000000 allowed"},
		{"length of 2^63", length(1<<63, "{}"), "more than the 100000000 allowed"},
		{"length of 100 MB in a small file", length(maxHeader, "{}"), "header of 100000000 bytes in a file of 10"},
		{"length of zero", length(0, "{}"), "does not begin with {"},

		{"a list", raw("[]", 0), "does not begin with {"},
		{"space first", raw(" {}", 0), "does not begin with {"},
		{"not closed", raw(`{"t":{"dtype":"F32"`, 0), "no valid JSON"},
		{"empty entry not closed", raw(`{`, 0), "no valid JSON"},
		{"text behind", raw(`{} {}`, 0), "follow the header's closing"},
		{"newline behind", raw("{}\n", 0), "follow the header's closing"},
		{"not UTF-8", raw("{\"\xff\":1}", 0), "not UTF-8"},
		{"comma too many", raw(strings.Replace(good, "[2,2]", "[2,2,]", 1), 16), "no valid JSON"},
		{"colon missing", raw(strings.Replace(good, `"shape":`, `"shape"`, 1), 16), "no valid JSON"},
		{"nested a million deep", raw(`{"t":`+strings.Repeat("[", 1_000_000), 0), `"[" where { belongs`},
		{"nested in a shape", shape("[[2]]", 8), `"[" where a number belongs`},
		{"tensor is null", raw(`{"t":null}`, 0), `tensor "t": its entry: found "<nil>" where { belongs`},

		{"name twice", raw(`{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), `tensor "t": occurs twice`},
		{"name twice, once escaped", raw(`{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0074":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), `tensor "t": occurs twice`},
		{"field twice", raw(entry(`"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]`), 4), `"dtype" occurs twice`},
		{"metadata twice", raw(`{"__metadata__":{},"__metadata__":{}}`, 0), "holds __metadata__ twice"},
		{"metadata key twice", raw(`{"__metadata__":{"k":"1","k":"2"}}`, 0), `key "k" occurs twice`},
		{"metadata not of strings", raw(`{"__metadata__":{"k":1}}`, 0), `__metadata__ "k": found "1" where a string belongs`},
		{"metadata a string", raw(`{"__metadata__":"k"}`, 0), "where { belongs"},
		{"unknown field", raw(entry(`"dtype":"F32","shape":[1],"data_offsets":[0,4],"offset":0`), 4), `unknown field "offset"`},
		{"field in upper case", raw(entry(`"DTYPE":"F32","shape":[1],"data_offsets":[0,4]`), 4), `unknown field "DTYPE"`},
		{"no dtype", raw(entry(`"shape":[1],"data_offsets":[0,4]`), 4), "has no dtype"},
		{"no shape", raw(entry(`"dtype":"F32","data_offsets":[0,4]`), 4), "has no shape"},
		{"no offsets", raw(entry(`"dtype":"F32","shape":[1]`), 4), "has no data_offsets"},
		{"unknown type", raw(entry(`"dtype":"F128","shape":[1],"data_offsets":[0,16]`), 16), `unknown type "F128"`},
		{"type a number", raw(entry(`"dtype":32,"shape":[1],"data_offsets":[0,4]`), 4), "where a string belongs"},

		{"negative size", shape("[-2,-2]", 16), `"-2" is not a whole number`},
		{"minus zero", shape("[-0]", 0), `"-0" is not a whole number`},
		{"NaN", shape("[NaN]", 0), "no valid JSON"},
		{"fraction", shape("[2.5]", 10), `"2.5" is not a whole number`},
		{"exponent", shape("[1e1]", 40), `"1e1" is not a whole number`},
		{"size of 2^63", shape("[9223372036854775808]", 0), "is not a whole number from 0"},
		{"size a string", shape(`["4"]`, 16), "where a number belongs"},
		{"shape a number", shape("4", 16), "where [ belongs"},
		{"product wraps to 16 bytes", shape("[4294967296,4294967296,4]", 16), "more elements than can be counted"},
		{"bits wrap", shape("[576460752303423488]", 0), "more elements than can be counted"},
		{"overflow hidden by a zero", shape("[4294967296,4294967296,0]", 0), "more elements than can be counted"},
		{"shape too large for its bytes", shape("[2,3]", 16), "takes 24 bytes, but data_offsets [0, 16] span 16"},
		{"shape too small for its bytes", shape("[2]", 16), "takes 8 bytes"},
		{"half a byte", raw(entry(`"dtype":"F4","shape":[3],"data_offsets":[0,2]`), 2), "does not fill whole bytes"},

		{"offsets backwards", offsets("[16,0]"), "run backwards"},
		{"offsets negative", offsets("[-16,0]"), "is not a whole number"},
		{"one offset", offsets("[16]"), "1 data_offsets in place of two"},
		{"three offsets", offsets("[0,16,16]"), "more than two data_offsets"},
		{"offsets of 2^63-1", offsets("[9223372036854775791,9223372036854775807]"), "the file is cut short"},
		{"cut short", raw(good, 15), `tensor "t": ends at byte 16 of the data, of which the file holds 15; the file is cut short`},
		{"bytes left over", raw(good, 17), "1 bytes of data belong to no tensor"},
		{"data without tensors", raw("{}", 1), "1 bytes of data belong to no tensor"},
		{"gap at the start", raw(entry(`"dtype":"U8","shape":[8],"data_offsets":[8,16]`), 16), "leaves a gap of 8 bytes"},
		{"gap", two("[0,8]", "[9,17]", 17), `tensor "b": leaves a gap of 1 bytes`},
		{"overlap", two("[0,8]", "[7,15]", 15), `tensor "b": starts at byte 7, inside the tensor before it`},
		{"same place", two("[0,8]", "[0,8]", 8), "inside the tensor before it"},
		{"empty tensor inside another", raw(`{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"e":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}}`, 8), `tensor "e": starts at byte 4, inside`},
		{"empty tensor past the end", raw(`{"e":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}}`, 0), `tensor "e": ends at byte 4 of the data, of which the file holds 0`},
	}
}

func TestHostileFiles(t *testing.T) {
	for _, c := range hostile() {
		_, err := readBytes(c.file)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.what, err)
		case c.want != "" && err == nil:
			t.Errorf("%s: accepted", c.what)
		case c.want == "":
		case !strings.Contains(err.Error(), c.want) && !tooLarge(err):
			t.Errorf("%s: want %q in %v", c.what, c.want, err)
		case !strings.HasPrefix(err.Error(), "model.safetensors: ") || !strings.Contains(err.Error(), "; ") || strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: %q is not one line of file, fault and next step", c.what, err)
		}
	}
}

func TestBadElements(t *testing.T) {
	for _, c := range []struct{ dtype, data, want string }{
		{"BOOL", "\x02", "a BOOL of value 2"},
		{"U64", "\x00\x00\x00\x00\x00\x00\x00\x80", "9223372036854775808 does not fit"},
	} {
		b := append(raw(fmt.Sprintf(`{"t":{"dtype":%q,"shape":[1],"data_offsets":[0,%d]}}`, c.dtype, len(c.data)), 0), c.data...)
		f, err := readBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Tensor("t"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q, got %v", c.dtype, c.want, err)
		}
	}
}

// A file may be truncated between Open, which checks its header, and Tensor.
func TestShrunkFile(t *testing.T) {
	b := raw(`{"t":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, 16)
	f, err := Read(bytes.NewReader(b[:len(b)-1]), int64(len(b)), "m")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Tensor("t"); err == nil || !strings.Contains(err.Error(), `m: tensor "t": reading 16 bytes`) {
		t.Errorf("got %v", err)
	}
	if _, err := Read(bytes.NewReader(nil), 64, "m"); err == nil || !strings.Contains(err.Error(), "reading the header") {
		t.Errorf("nothing behind the promised size: %v", err)
	}
}

func TestLongNamesAreCutInErrors(t *testing.T) {
	_, err := readBytes(raw(`{"`+strings.Repeat("ü", 1<<20)+`":1}`, 0))
	if err == nil || len(err.Error()) > 500 {
		t.Errorf("an error of %d bytes", len(fmt.Sprint(err)))
	}
}

// Whatever a header claims, the reader allocates little more than the file's bytes.
func TestAllocatesWhatTheFileJustifies(t *testing.T) {
	for _, c := range hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		readBytes(c.file)
		runtime.ReadMemStats(&after)
		limit := uint64(1<<16 + 40*len(c.file))
		if got := after.TotalAlloc - before.TotalAlloc; got > limit {
			t.Errorf("%s: allocated %d bytes for a file of %d", c.what, got, len(c.file))
		}
	}
}

// Whatever the reader accepts can be read, and written again without a change.
func FuzzRead(f *testing.F) {
	for _, c := range hostile() {
		if len(c.file) < 1<<12 {
			f.Add(c.file)
		}
	}
	types, err := os.ReadFile("testdata/types.safetensors")
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
		if err := Write(&again, tensors, file.Metadata()); err != nil {
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
	return strconv.IntSize == 32 && strings.Contains(err.Error(), "too large for this machine")
}

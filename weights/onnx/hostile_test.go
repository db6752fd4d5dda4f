package onnx

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/residual-ml/residual/tensor"
)

type hostileFile struct {
	what string
	file []byte
	want string // part of the error; empty when the file is valid
}

// file wraps a graph into a model.
func file(graph ...[]byte) []byte {
	b := appendInt(nil, 1, 8)
	b = appendMessage(b, 8, appendInt(nil, 2, 17))
	return appendMessage(b, 7, bytes.Join(graph, nil))
}

func node(op, out string, in ...string) []byte {
	b, err := nodeMessage(&Node{Op: op, Inputs: in, Outputs: []string{out}})
	if err != nil {
		panic(err)
	}
	return appendMessage(nil, 1, b)
}

func input(name string) []byte {
	return appendMessage(nil, 11, valueMessage(Value{Name: name, Type: Float}))
}

func output(name string) []byte {
	return appendMessage(nil, 12, valueMessage(Value{Name: name, Type: Float}))
}

// weight returns an initialiser; parts are the fields after its name.
func weight(name string, parts ...[]byte) []byte {
	return appendMessage(nil, 5, append(appendText(nil, 8, name), bytes.Join(parts, nil)...))
}

func dims(sizes ...int64) (b []byte) {
	for _, d := range sizes {
		b = appendInt(b, 1, d)
	}
	return b
}

func kind(t ElementType) []byte { return appendInt(nil, 2, int64(t)) }
func raw(n int) []byte          { return appendMessage(nil, 9, make([]byte, n)) }

// withAttribute returns a node with one attribute of the given fields.
func withAttribute(parts ...[]byte) []byte {
	a := append(appendText(nil, 1, "a"), bytes.Join(parts, nil)...)
	n := appendText(appendMessage(appendText(nil, 1, "x"), 2, []byte("y")), 4, "Op")
	return file(input("x"), appendMessage(nil, 1, appendMessage(n, 5, a)), output("y"))
}

// hostile is the table of the tests below and the seed of the fuzz corpus.
func hostile() []hostileFile {
	x, y := input("x"), output("y")
	tensorOf := func(parts ...[]byte) []byte { return file(x, weight("w", parts...), node("Op", "y", "x"), y) }
	packed := func(number int, values ...uint64) []byte {
		var b []byte
		for _, v := range values {
			b = protowire.AppendVarint(b, v)
		}
		return appendMessage(nil, protowire.Number(number), b)
	}
	var chain [][]byte
	for i := range 20_000 { // in reverse order
		chain = append(chain, node("Op", fmt.Sprint("y", i), fmt.Sprint("y", i+1)))
	}
	chain = append(chain, input("y20000"), output("y0"))
	good := file(x, node("Op", "y", "x"), y)
	return []hostileFile{
		{"good", good, ""},
		{"good, unsorted", file(x, node("B", "y", "m"), node("A", "m", "x"), y), ""},
		{"good, a long chain backwards", file(chain...), ""},
		{"good, initialiser listed as an input", file(x, input("w"), weight("w", kind(Float), raw(4)), node("Op", "y", "x", "w"), y), ""},
		{"good, an input left out", file(x, node("Op", "y", "x", "", "x"), y), ""},
		{"good, float_data", tensorOf(dims(2), kind(Float), appendMessage(nil, 4, make([]byte, 8))), ""},
		{"good, float_data in pieces", tensorOf(dims(2), kind(Float), appendMessage(nil, 4, make([]byte, 4)), appendMessage(nil, 4, make([]byte, 4))), ""},
		{"good, empty", tensorOf(dims(3, 0), kind(Float), raw(0)), ""},
		{"good, a graph as attribute", withAttribute(appendInt(nil, 20, 5), appendMessage(nil, 6, []byte{0xff})), ""},

		{"no bytes", nil, "holds no graph"},
		{"words", []byte("These are no weights at all, only words."), "is a group"},
		{"cut short", good[:len(good)-1], "unexpected EOF"},
		{"length past the end", append(protowire.AppendTag(nil, 7, protowire.BytesType), 0xff, 0xff, 0xff, 0xff, 0x7f), "unexpected EOF"},
		{"length of 2^63", append(protowire.AppendTag(nil, 7, protowire.BytesType), bytes.Repeat([]byte{0xff}, 9)...), "unexpected EOF"},
		{"field number 0", []byte{0}, "invalid field number"},
		{"a group", protowire.AppendTag(nil, 7, protowire.StartGroupType), "is a group"},
		{"graph a number", append(appendInt(nil, 7, 1), good...), "wire type 0 where 2 belongs"},
		{"two graphs", slices.Concat(good, appendMessage(nil, 7, nil)), "field 7 occurs twice"},
		{"no opset", appendMessage(nil, 7, nil), "which version of ONNX's operators"},
		{"two opsets", slices.Concat(good, appendMessage(nil, 8, appendInt(nil, 2, 12))), "two versions"},
		{"metadata twice", slices.Concat(good, bytes.Repeat(appendMessage(nil, 14, appendText(nil, 1, "k")), 2)), `metadata "k" occurs twice`},
		{"name not UTF-8", file(x, node("Op", "y\xff", "x"), y), "not UTF-8"},

		{"unknown input", file(x, node("Op", "y", "w"), y), `takes "w", which no input`},
		{"unknown output", file(x, node("Op", "z", "x"), y), `output "y": nothing makes it`},
		{"output twice", file(x, node("Op", "y", "x"), node("Op", "y", "x"), y), `the name "y" is used twice`},
		{"output is an input", file(x, node("Op", "x", "x"), output("x")), `the name "x" is used twice`},
		{"initialiser twice", file(x, weight("w", kind(Float), raw(4)), weight("w", kind(Float), raw(4)), node("Op", "y", "w"), y), `the name "w" is used twice`},
		{"input twice", file(x, x, node("Op", "y", "x"), y), `the name "x" is used twice`},
		{"takes itself", file(x, node("Op", "y", "y"), y), "depends on the node itself"},
		{"cycle", file(x, node("A", "a", "c"), node("B", "b", "a"), node("C", "c", "b", "x"), node("D", "y", "c"), y), "depends on the node itself"},
		{"no operation", file(x, appendMessage(nil, 1, appendText(appendText(nil, 1, "x"), 2, "y")), y), "says no operation"},
		{"makes nothing", file(x, appendMessage(nil, 1, appendText(nil, 4, "Op")), y), "makes nothing"},
		{"name of nothing", file(x, weight("", kind(Float), raw(4)), node("Op", "y", "x"), y), "has no name"},
		{"sparse initialiser", file(x, appendMessage(nil, 15, nil), node("Op", "y", "x"), y), "sparse"},

		{"a million attributes", file(x, appendMessage(nil, 1, append(appendText(appendText(nil, 4, "Op"), 2, "y"), bytes.Repeat(appendMessage(nil, 5, appendInt(nil, 20, 2)), 1<<20)...)), y), "1048576 attributes"},
		{"attribute without a kind", withAttribute(), "unknown kind 0"},
		{"attribute of kind 99", withAttribute(appendInt(nil, 20, 99)), "unknown kind 99"},
		{"attribute refers to a function's", withAttribute(appendInt(nil, 20, 2), appendText(nil, 21, "b")), "of a function"},
		{"number occurs twice", withAttribute(appendInt(nil, 20, 2), appendInt(nil, 3, 1), appendInt(nil, 3, 2)), "field 3 occurs twice"},
		{"attribute tensor without a type", withAttribute(appendInt(nil, 20, 4)), "elements of type 0"},
		{"floats of 5 bytes", withAttribute(appendInt(nil, 20, 6), appendMessage(nil, 7, make([]byte, 5))), "no multiple of 4"},
		{"ints cut short", withAttribute(appendInt(nil, 20, 7), appendMessage(nil, 8, []byte{1, 0x80})), "unexpected EOF"},

		{"external data", tensorOf(dims(1), kind(Float), appendMessage(nil, 13, appendText(appendText(nil, 1, "location"), 2, "/etc/passwd"))), "external data"},
		{"external by its location", tensorOf(dims(1), kind(Float), appendInt(nil, 14, 1)), "external data"},
		{"segment", tensorOf(dims(1), kind(Float), appendMessage(nil, 3, nil), raw(4)), "segment"},
		{"string elements", tensorOf(dims(1), kind(8), raw(4)), "elements of type 8"},
		{"type of 2^32+1", tensorOf(dims(1), appendInt(nil, 2, 1<<32+1), raw(4)), "cannot be read"},
		{"negative size", tensorOf(dims(-2, -2), kind(Float), raw(16)), "a size of -2"},
		{"size of 2^40", tensorOf(dims(1<<40), kind(Float), raw(16)), "a size of 1099511627776"},
		{"product wraps to 16 bytes", tensorOf(dims(1<<30, 1<<30, 1<<2), kind(Float), raw(16)), "more elements than a file can hold"},
		{"overflow hidden by a zero", tensorOf(dims(1<<30, 1<<30, 1<<2, 0), kind(Float), raw(0)), "more elements than a file can hold"},
		{"a shape of a million sizes", tensorOf(dims(make([]int64, 1<<20)...), kind(Float), raw(0)), "has 1048576 dimensions"},
		{"large shape, no bytes", tensorOf(dims(1<<28), kind(Float), raw(0)), "takes 1073741824 bytes, and there are 0"},
		{"large shape, nothing at all", tensorOf(dims(1<<28), kind(Float)), "there are 0 of FLOAT"},
		{"raw too long", tensorOf(dims(1), kind(Float), raw(5)), "takes 4 bytes, and there are 5"},
		{"float_data too short", tensorOf(dims(2), kind(Float), appendMessage(nil, 4, make([]byte, 4))), "has 2 elements, and there are 1"},
		{"elements in the wrong list", tensorOf(dims(1), kind(Float), packed(7, 1)), "there are 0 of FLOAT"},
		{"float16 beyond its bits", tensorOf(dims(1), kind(Float16), packed(5, 1<<16)), "the number 65536"},
		{"bool of 2", tensorOf(dims(1), kind(Bool), packed(5, 2)), "the number 2"},
		{"uint64 of 2^63", tensorOf(dims(1), kind(Uint64), packed(11, 1<<63)), "none of UINT64"},
	}
}

func TestHostileFiles(t *testing.T) {
	for _, c := range hostile() {
		_, err := Read(c.file, "m.onnx")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.what, err)
		case c.want != "" && err == nil:
			t.Errorf("%s: accepted", c.what)
		case c.want == "":
		case !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: want %q in %v", c.what, c.want, err)
		case !strings.HasPrefix(err.Error(), "m.onnx: ") || !strings.Contains(err.Error(), "; ") && !strings.Contains(err.Error(), "cannot be read") || strings.Contains(err.Error(), "\n") || len(err.Error()) > 600:
			t.Errorf("%s: %q is not one line of file, fault and next step", c.what, err)
		}
	}
}

func TestOrderIsOneOfComputation(t *testing.T) {
	m, err := Read(file(input("x"), node("C", "c", "b", "a"), node("B", "b", "a"), node("A", "a", "x"), node("D", "y", "c"), output("y")), "m")
	if err != nil {
		t.Fatal(err)
	}
	ops := ""
	for _, n := range m.Graph.Nodes {
		ops += n.Op
	}
	if ops != "ABCD" {
		t.Errorf("the nodes stand as %s", ops)
	}
}

// perByte bounds the allocation per byte of a file: the worst cases are nodes with
// one-letter names and integers of one byte.
const perByte = 64

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Whatever a file claims, the reader allocates in proportion to the file's bytes.
func TestAllocatesWhatTheFileJustifies(t *testing.T) {
	many := [][]byte{input("x")}
	for i := range 20_000 {
		many = append(many, node("A", fmt.Sprint(i), ""))
	}
	worst := append(hostile(), hostileFile{"many nodes", file(append(many, output("0"))...), ""})
	for _, c := range worst {
		limit := uint64(1<<16 + perByte*len(c.file))
		if got := allocated(func() { Read(c.file, "m") }); got > limit {
			t.Errorf("%s: allocated %d bytes for a file of %d", c.what, got, len(c.file))
		}
	}
}

// same compares models, and their tensors bit by bit.
func same(a, b *Model) bool {
	bits := func(m *Model) *Model {
		c := *m
		c.Graph.Initialisers = nil
		c.Graph.Nodes = nil
		for _, n := range m.Graph.Nodes {
			for _, attr := range n.Attributes {
				n.Name += fmt.Sprintf("|%s=%s", attr.Name, valueBits(attr.Value))
			}
			n.Attributes = nil
			c.Graph.Nodes = append(c.Graph.Nodes, n)
		}
		for _, t := range m.Graph.Initialisers {
			c.Graph.Name += fmt.Sprintf("|%s=%s", t.Name, valueBits(t.Tensor))
		}
		return &c
	}
	return reflect.DeepEqual(bits(a), bits(b))
}

func valueBits(v any) string {
	switch v := v.(type) {
	case float32:
		return fmt.Sprintf("%x", math.Float32bits(v))
	case []float32:
		return valueBits(tensor.FromSlice(v, len(v)))
	case *tensor.Tensor:
		text := fmt.Sprint(v.DType(), v.Shape(), v.Ints())
		for _, f := range v.Data() {
			text += fmt.Sprintf(" %x", math.Float32bits(f))
		}
		return text
	}
	return fmt.Sprintf("%T %v", v, v)
}

// Whatever the reader accepts uses memory in proportion to its bytes, and can be written
// and read again without a change.
func FuzzRead(f *testing.F) {
	for _, c := range hostile() {
		if len(c.file) < 1<<12 {
			f.Add(c.file)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m *Model
		var err error
		// The fuzzer itself allocates a little at the same time.
		if got := allocated(func() { m, err = Read(b, "m") }); got > uint64(1<<20+perByte*len(b)) {
			t.Fatalf("allocated %d bytes for a file of %d", got, len(b))
		}
		if err != nil {
			return
		}
		m.IRVersion = max(m.IRVersion, 3)
		var file bytes.Buffer
		for _, n := range m.Graph.Nodes {
			for _, a := range n.Attributes {
				if _, ok := a.Value.(Opaque); ok {
					return
				}
			}
		}
		if err := Write(&file, m); err != nil {
			if strings.Contains(err.Error(), "UTF-8") {
				return // bytes in a string attribute
			}
			t.Fatal(err)
		}
		again, err := Read(file.Bytes(), "again")
		if err != nil {
			t.Fatal(err)
		}
		if !same(m, again) {
			t.Fatalf("%+v became %+v", m, again)
		}
	})
}

package onnx

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/residual-ml/residual/tensor"
)

func sample() *Model {
	return &Model{
		IRVersion: 8, Opset: 17, Producer: "residual", ProducerVersion: "1", Metadata: map[string]string{"b": "2", "a": "1"},
		Graph: Graph{
			Name: "g",
			Nodes: []Node{
				{Name: "n1", Op: "A", Inputs: []string{"x", "", "w"}, Outputs: []string{"m", "mask"}, Attributes: []Attribute{
					{"f", float32(0.1), 0}, {"i", int64(-3), 0}, {"s", "text", 0}, {"fs", []float32{1, -2}, 0}, {"is", []int64{-1, 1 << 40}, 0},
					{"t", tensor.FromSlice([]float32{1, 2}, 2, 1), 0}, {"zero", tensor.FromInts([]int64{200}, []int{}...), Uint8},
				}},
				{Name: "n2", Op: "B", Domain: "other", Inputs: []string{"m", "shape"}, Outputs: []string{"y"}},
			},
			Initialisers: []tensor.Named{
				{Name: "w", Tensor: tensor.FromSlice([]float32{1, float32(math.Inf(1)), math.Float32frombits(0x7fc12345), -0.5}, 2, 2)},
				{Name: "shape", Tensor: tensor.FromInts([]int64{-1, math.MinInt64}, 2)},
				{Name: "scalar", Tensor: tensor.FromSlice([]float32{4}, []int{}...)},
				{Name: "quantised", Tensor: tensor.FromInts([]int64{-128, 127, 0}, 3)},
				{Name: "bias", Tensor: tensor.FromInts([]int64{math.MinInt32, math.MaxInt32}, 2)},
			},
			Types:   map[string]ElementType{"quantised": Int8, "bias": Int32},
			Inputs:  []Value{{"x", Uint8, []Dim{{0, "N"}, {3, ""}}}},
			Outputs: []Value{{"y", Float, nil}},
		},
	}
}

func TestWriteThenRead(t *testing.T) {
	m := sample()
	path := filepath.Join(t.TempDir(), "m.onnx")
	var b bytes.Buffer
	if err := Write(&b, m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if !same(m, got) {
		t.Errorf("%+v became %+v", m, got)
	}
	var again bytes.Buffer
	if err := Write(&again, got); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Errorf("written again it has other bytes (%v)", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	for want, change := range map[string]func(*Model){
		"is used twice":   func(m *Model) { m.Graph.Initialisers[1].Name = "w" },
		"version 0":       func(m *Model) { m.IRVersion = 0 },
		"is nil":          func(m *Model) { m.Graph.Initialisers[0].Tensor = nil },
		"a int cannot":    func(m *Model) { m.Graph.Nodes[0].Attributes[0].Value = 1 },
		"is not UTF-8":    func(m *Model) { m.Metadata["a"] = "\xff" },
		"nothing makes":   func(m *Model) { m.Graph.Outputs[0].Name = "z" },
		"the node itself": func(m *Model) { m.Graph.Nodes[0].Inputs[0] = "y" },
		"the number -128": func(m *Model) { m.Graph.Types["quantised"] = Uint8 },
		"written as FLOA": func(m *Model) { m.Graph.Types["quantised"] = Float },
		"written as INT8": func(m *Model) { m.Graph.Types["w"] = Int8 },
		"the number 200":  func(m *Model) { m.Graph.Nodes[0].Attributes[6].Type = Int8 },
	} {
		m := sample()
		change(m)
		var b bytes.Buffer
		if err := Write(&b, m); err == nil || !strings.Contains(err.Error(), want) || b.Len() > 0 {
			t.Errorf("want %q and no bytes, got %v and %d", want, err, b.Len())
		}
	}
}

// full fails after a number of bytes.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("no space left")
	}
	return len(p), nil
}

func TestWriteReportsAFullDisk(t *testing.T) {
	var complete bytes.Buffer
	if err := Write(&complete, sample()); err != nil {
		t.Fatal(err)
	}
	for room := range complete.Len() {
		if err := Write(&full{room}, sample()); err == nil {
			t.Fatalf("no error for a disk of %d bytes", room)
		}
	}
}

// Every element type is read from raw bytes and from its typed list.
func TestElementTypes(t *testing.T) {
	varint := func(v int64) []byte { return protowire.AppendVarint(nil, uint64(v)) }
	for _, c := range []struct {
		kind ElementType
		raw  string
		list int
		data []byte
		f    float32
		i    int64
	}{
		{Float, "\x00\x00\xc0\x3f", 4, []byte("\x00\x00\xc0\x3f"), 1.5, 0},
		{Double, "\x00\x00\x00\x00\x00\x00\xf8\x3f", 10, []byte("\x00\x00\x00\x00\x00\x00\xf8\x3f"), 1.5, 0},
		{Float16, "\x00\x3e", 5, varint(0x3e00), 1.5, 0},
		{Float16, "\x01\x80", 5, varint(0x8001), -1.0 / (1 << 24), 0},
		{Float16, "\x00\x7c", 5, varint(0x7c00), float32(math.Inf(1)), 0},
		{BFloat16, "\xc0\x3f", 5, varint(0x3fc0), 1.5, 0},
		{Uint8, "\xff", 5, varint(255), 0, 255},
		{Int8, "\xff", 5, varint(-1), 0, -1},
		{Uint16, "\xff\xff", 5, varint(65535), 0, 65535},
		{Int16, "\xfe\xff", 5, varint(-2), 0, -2},
		{Uint32, "\xff\xff\xff\xff", 11, varint(1<<32 - 1), 0, 1<<32 - 1},
		{Int32, "\xff\xff\xff\xff", 5, varint(-1), 0, -1},
		{Uint64, "\x01\x00\x00\x00\x00\x00\x00\x40", 11, varint(1<<62 + 1), 0, 1<<62 + 1},
		{Int64, "\xff\xff\xff\xff\xff\xff\xff\xff", 7, varint(-1), 0, -1},
		{Bool, "\x01", 5, varint(1), 0, 1},
	} {
		for _, data := range [][]byte{appendMessage(nil, 9, []byte(c.raw)), appendMessage(nil, protowire.Number(c.list), c.data)} {
			m, err := Read(file(input("x"), weight("w", dims(1), kind(c.kind), data), node("Op", "y", "w"), output("y")), "m")
			if err != nil {
				t.Errorf("%v: %v", c.kind, err)
				continue
			}
			w := m.Graph.Initialisers[0].Tensor
			switch {
			case c.kind.IsFloat() && (w.DType() != tensor.Float32 || w.Data()[0] != c.f):
				t.Errorf("%v: %v, want %v", c.kind, w, c.f)
			case !c.kind.IsFloat() && (w.DType() != tensor.Int64 || w.Ints()[0] != c.i):
				t.Errorf("%v: %v, want %v", c.kind, w, c.i)
			}
			if small := m.Graph.Types["w"]; !(c.kind.IsFloat() || c.kind == Int64) && small != c.kind || (c.kind.IsFloat() || c.kind == Int64) && small != 0 {
				t.Errorf("%v is recorded as %v", c.kind, small)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{filepath.Join(dir, "none"): "check the path", dir: "not a regular file"} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", path, want, err)
		}
	}
}

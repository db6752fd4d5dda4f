package weights_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/npz"
	"github.com/residual-ml/residual/weights/onnx"
	"github.com/residual-ml/residual/weights/safetensors"
)

// Every format gives the same tensors, whatever the file's name.
func TestOpenTellsFormatsByTheirContent(t *testing.T) {
	values := []tensor.Named{
		{Name: "fc.weight", Tensor: tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 2, 3)},
		{Name: "steps", Tensor: tensor.FromInts([]int64{7})},
	}
	graph := &onnx.Model{IRVersion: 8, Opset: 17, Metadata: map[string]string{"of": "it"}, Graph: onnx.Graph{
		Initialisers: values, Inputs: []onnx.Value{{Name: "x", Type: onnx.Float, Shape: []onnx.Dim{{Size: 3}}}},
		Nodes:   []onnx.Node{{Op: "Relu", Inputs: []string{"x"}, Outputs: []string{"y"}}},
		Outputs: []onnx.Value{{Name: "y", Type: onnx.Float, Shape: []onnx.Dim{{Size: 3}}}},
	}}
	for format, write := range map[weights.Format]func(*bytes.Buffer) error{
		weights.Safetensors: func(b *bytes.Buffer) error {
			return safetensors.Write(b, values, map[string]string{"of": "it"})
		},
		weights.NumPy: func(b *bytes.Buffer) error { return npz.Write(b, values) },
		weights.ONNX:  func(b *bytes.Buffer) error { return onnx.Write(b, graph) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(format, err)
		}
		f := open(t, b.Bytes())
		if f.Format != format || (f.Metadata["of"] != "it") != (format == weights.NumPy) {
			t.Errorf("%s: format %s with metadata %v", format, f.Format, f.Metadata)
		}
		if names := f.Names(); len(names) != 2 || !slices.Contains(names, "steps") {
			t.Errorf("%s: names %q", format, names)
		}
		dtype, shape, ok := f.Info("fc.weight")
		if !ok || dtype != "F32" || !shape.Equal(tensor.Shape{2, 3}) {
			t.Errorf("%s: %s %v %v", format, dtype, shape, ok)
		}
		all, err := f.Tensors()
		if err != nil {
			t.Fatal(format, err)
		}
		for _, want := range values {
			one, err := f.Tensor(want.Name)
			if err != nil {
				t.Fatal(format, err)
			}
			for _, got := range []*tensor.Tensor{one, all[want.Name]} {
				if !slices.Equal(got.Data(), want.Tensor.Data()) || !slices.Equal(got.Ints(), want.Tensor.Ints()) || got == want.Tensor {
					t.Errorf("%s: %s is %v", format, want.Name, got)
				}
			}
		}
		if _, err := f.Tensor("other"); err == nil || !strings.HasPrefix(err.Error(), f.Path) {
			t.Errorf("%s: a tensor that is not there: %v", format, err)
		}
		if _, _, ok := f.Info("other"); ok {
			t.Errorf("%s: tells of a tensor that is not there", format)
		}
	}
}

// Both formats of torch.save are recognised.
func TestOpenCheckpoints(t *testing.T) {
	for _, name := range []string{"state-1.13", "state-2.15", "legacy-1.13", "legacy-2.15"} {
		b, err := os.ReadFile("pth/testdata/" + name + ".pth")
		if err != nil {
			t.Fatal(err)
		}
		same, err := safetensors.Open("pth/testdata/" + name + ".safetensors")
		if err != nil {
			t.Fatal(err)
		}
		defer same.Close()
		f := open(t, b)
		names, want := f.Names(), same.Names()
		slices.Sort(names)
		slices.Sort(want)
		if f.Format != weights.PyTorch || !slices.Equal(names, want) {
			t.Errorf("%s: %s with %q, want %q", name, f.Format, names, want)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "begins like no",
		"Only words, no tensor": "begins like no",
		`{"a": 1}`:              "has no weight_map",
		"{}":                    "has no weight_map",
		"\x3a\x00":              "ONNX",
		"<html>":                "web page",
		"version https://git-lfs.github.com/spec/v1\n": "git lfs pull",
		"\x1f\x8b":                          "gzip",
		"\x93NUMPY\x01":                     "NumPy array",
		"PK\x03\x04":                        "zip",
		"\x80\x04\x95":                      "pickle",
		"\xff\x00\x00\x00\x00\x00\x00\x00{": "header of 255 bytes",
		"\x08\x07\x12":                      "damaged",
	} {
		path := filepath.Join(t.TempDir(), "w")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		f, err := weights.Open(path)
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: want %q, got %v", text, want, err)
		}
	}
	if _, err := weights.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a folder with none of") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := weights.Open(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "check the path") {
		t.Errorf("no file: %v", err)
	}
}

func open(t *testing.T, b []byte) *weights.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weights.bin")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// The length of a safetensors header may look like the start of a pickle, an archive, an
// ONNX graph, or a compressed file.
func TestSafetensorsWhateverItsHeadersLength(t *testing.T) {
	for _, length := range []int{0x0280, 0x0380, 'P' | 'K'<<8, 0x0408, 0x0808, 0x8b1f} {
		header := `{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
		header += strings.Repeat(" ", length-len(header))
		text := binary.LittleEndian.AppendUint64(nil, uint64(length))
		text = append(append(text, header...), 0, 0, 0x80, 0x3f)
		path := filepath.Join(t.TempDir(), "one.safetensors")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := weights.Open(path)
		if err != nil {
			t.Errorf("a header of %#x bytes: %v", length, err)
			continue
		}
		if x, err := f.Tensor("x"); f.Format != weights.Safetensors || err != nil || x.Data()[0] != 1 {
			t.Errorf("a header of %#x bytes: a %s file of %v, %v", length, f.Format, x, err)
		}
		f.Close()
	}
}

// TestNamesDoNotMatter detects every format under names that end like another one's.
func TestNamesDoNotMatter(t *testing.T) {
	dir := t.TempDir()
	values := []tensor.Named{{Name: "a", Tensor: tensor.FromSlice([]float32{1, 2}, 2)}}
	contents := map[weights.Format][]byte{}
	for format, write := range map[weights.Format]func(io.Writer) error{
		weights.Safetensors: func(w io.Writer) error { return safetensors.Write(w, values, nil) },
		weights.NumPy:       func(w io.Writer) error { return npz.Write(w, values) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		contents[format] = b.Bytes()
	}
	legacy, err := os.ReadFile("pth/testdata/legacy-1.13.pth")
	if err != nil {
		t.Fatal(err)
	}
	contents[weights.PyTorch] = legacy
	// opset_import and the graph come first, and ir_version last, as any order is allowed.
	contents[weights.ONNX] = []byte("\x42\x02\x10\x11" + "\x3a\x03\x12\x01g" + "\x08\x08")
	for format, content := range contents {
		for _, name := range []string{"w.safetensors", "w.pth", "w.onnx", "w.npz", "w.index.json", "w.txt", "w"} {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, content, 0o666); err != nil {
				t.Fatal(err)
			}
			if got, err := weights.Detect(path); err != nil || got != format {
				t.Errorf("%s as %s is %q, %v", format, name, got, err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "w.safetensors"), contents[weights.Safetensors], 0o666); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(dir, "shards of w")
	if err := os.WriteFile(index, []byte(`{"weight_map": {"a": "w.safetensors"}}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := weights.Detect(index); err != nil || got != weights.Safetensors || !weights.IsIndex(index) {
		t.Errorf("an index of another name is %q, %v", got, err)
	}
	for _, text := range []string{"path,label\n", "\"a\",\"b\"\n", "B\x01", ":)", "r\x7f"} {
		path := filepath.Join(dir, "words.onnx")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if got, err := weights.Detect(path); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

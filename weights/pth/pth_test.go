package pth

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/safetensors"
)

func readBytes(b []byte) (*File, error) {
	return Read(bytes.NewReader(b), int64(len(b)), "model.pth")
}

// sameBits compares tensors bit by bit, so that NaN equals itself and -0 is not 0.
func sameBits(a, b *tensor.Tensor) bool {
	return a.DType() == b.DType() && a.Shape().Equal(b.Shape()) && slices.Equal(a.Ints(), b.Ints()) &&
		slices.EqualFunc(a.Data(), b.Data(), func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// Every checkpoint in testdata is compared with PyTorch's own reading of its tensors.
func TestAgainstPyTorch(t *testing.T) {
	fixtures, err := filepath.Glob("testdata/*.safetensors")
	if err != nil || len(fixtures) < 25 {
		t.Fatalf("%d fixtures, %v", len(fixtures), err)
	}
	read := map[string]bool{}
	for _, path := range fixtures {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".safetensors"), func(t *testing.T) {
			want, err := safetensors.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer want.Close()
			got, err := Open(strings.TrimSuffix(path, ".safetensors") + ".pth")
			if err != nil {
				t.Fatal(err)
			}
			defer got.Close()
			if d := cmp.Diff(want.Names(), got.Names()); d != "" {
				t.Errorf("names (-PyTorch +read):\n%s", d)
			}
			all, err := got.Tensors()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range want.Names() {
				w, err := want.Tensor(name)
				if err != nil {
					t.Fatal(err)
				}
				g, err := got.Tensor(name)
				if err != nil {
					t.Fatal(err)
				}
				if !sameBits(g, w) || !sameBits(all[name], w) {
					t.Errorf("%s: read %v, PyTorch has %v", name, g, w)
				}
				dtype, shape, ok := got.Info(name)
				if !ok || !shape.Equal(w.Shape()) {
					t.Errorf("Info(%s) = %s %v %v", name, dtype, shape, ok)
				}
				read[dtype] = true
			}
		})
	}
	for _, dtype := range safetensors.Types() {
		if !read[dtype] {
			t.Errorf("no fixture shows type %s", dtype)
		}
	}
}

func TestFound(t *testing.T) {
	for name, want := range map[string][2]string{
		"state":                    {"", ""},
		"wrapped-model":            {"model", ""},
		"wrapped-state_dict":       {"state_dict", "module."},
		"wrapped-model_state_dict": {"model_state_dict", "_orig_mod.module."},
		"wrapped-net":              {"net", "model."},
		"wrapped-model_ema":        {"model_ema", "module."},
		"wrapped-state_dict_ema":   {"state_dict_ema", ""},
	} {
		for _, version := range []string{"1.13", "2.15"} {
			f, err := Open("testdata/" + name + "-" + version + ".pth")
			if err != nil {
				t.Error(err)
				continue
			}
			if key, prefix := f.Found(); key != want[0] || prefix != want[1] {
				t.Errorf("%s: found under %q with prefix %q, want %q", name, key, prefix, want)
			}
			var others []string
			if trained, ok := strings.CutSuffix(want[0], "_ema"); ok {
				others = []string{trained}
			}
			if got := f.PassedOver(); !slices.Equal(got, others) {
				t.Errorf("%s: %q were passed over, want %q", name, got, others)
			}
			f.Close()
		}
	}
}

func TestTiedWeightsAreOneTensor(t *testing.T) {
	f, err := Open("testdata/views-2.15.pth")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := f.Tensors()
	if err != nil {
		t.Fatal(err)
	}
	if all["tied.a"] != all["tied.b"] || all["tied.a"] == all["frozen"] {
		t.Error("tied.a and tied.b should be one tensor, frozen (their transpose) another")
	}
}

func TestRefusesByName(t *testing.T) {
	for path, want := range map[string]string{
		"whole-1.13.pth": `opcode GLOBAL at byte 2 of data.pkl: the global "torch.nn.modules.container.Sequential" is not allowed`,
		"whole-2.15.pth": `opcode GLOBAL at byte 2 of data.pkl: the global "torch.nn.modules.container.Sequential" is not allowed`,
	} {
		_, err := Open("testdata/" + path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "save model.state_dict()") {
			t.Errorf("%s: want %q, got %v", path, want, err)
		}
	}
	for _, version := range []string{"1.13", "2.15"} {
		f, err := Open("testdata/complex-" + version + ".pth")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Tensor("w"); err == nil || !strings.Contains(err.Error(), `tensor "w": type C64 cannot be read`) {
			t.Errorf("a complex tensor: %v", err)
		}
		if _, err := f.Tensor("v"); err != nil {
			t.Errorf("the tensor beside it: %v", err)
		}
		if _, err := f.Tensor("absent"); err == nil || !strings.Contains(err.Error(), `no tensor "absent"`) {
			t.Errorf("an absent tensor: %v", err)
		}
		if _, _, ok := f.Info("absent"); ok {
			t.Error("Info knows an absent tensor")
		}
	}
}

// A view longer than a piece is gathered across pieces.
func TestViewAcrossPieces(t *testing.T) {
	const rows, columns = 300, 250
	v := &view{storage: &storage{dtype: "F32", bytes: 4 * rows * columns}, dtype: "F32", size: 4,
		shape: tensor.Shape{columns, rows}, stride: []int64{1, columns}}
	if err := v.check(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4*rows*columns)
	for i := range rows * columns {
		bits := math.Float32bits(float32(i))
		copy(b[4*i:], []byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
	}
	x, err := (&File{r: bytes.NewReader(b)}).decode(v)
	if err != nil {
		t.Fatal(err)
	}
	for i := range columns {
		for j := range rows {
			if got := x.At(i, j); got != float32(j*columns+i) {
				t.Fatalf("element %d, %d is %v", i, j, got)
			}
		}
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

// A file may be truncated between Open and Tensor.
func TestShrunkFile(t *testing.T) {
	b, err := os.ReadFile("testdata/legacy-1.13.pth")
	if err != nil {
		t.Fatal(err)
	}
	f, err := readBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	f.r = bytes.NewReader(b[:len(b)/2])
	if _, err := f.Tensors(); err == nil || !strings.Contains(err.Error(), "unexpected EOF; copy or download") {
		t.Errorf("got %v", err)
	}
}

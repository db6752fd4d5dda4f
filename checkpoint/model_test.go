package checkpoint

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/safetensors"
)

func sampleModel() Model {
	return Model{
		Architecture: "d2l-resnet18", Blocks: []int{3, 4, 6, 3}, Classes: []string{"coat", "bag <&>"},
		Input:   prepare.Input{Channels: 1, Height: 96, Width: 96, Preprocess: prepare.Steps{Resize: 96, Mean: []float64{0.1307}, Std: []float64{0.3081}, Grey: true}},
		Dataset: "fashion-mnist", Epoch: 3,
		Metrics: Metrics{"loss": math.NaN(), "best": math.Inf(-1), "test_accuracy": 0.893},
	}
}

func TestModelRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "best.safetensors")
	weight := tensor.FromSlice([]float32{1, 2, 3}, 3)
	state := []tensor.Named{{Name: "bn.weight", Tensor: weight}, {Name: "bn.num_batches_tracked", Tensor: tensor.FromInts([]int64{7}, []int{}...)}}
	if err := SaveModel(path, sampleModel(), state); err != nil {
		t.Fatal(err)
	}
	m, f, err := LoadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := sampleModel()
	want.Preprocess.Scale, want.Preprocess.Interpolation = 1.0/255, "bilinear"
	want.Residual, want.Go = Versions()
	if d := cmp.Diff(want, m, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("(-saved +loaded):\n%s", d)
	}
	if d := cmp.Diff([]string{"bn.weight", "bn.num_batches_tracked"}, f.Names()); d != "" {
		t.Error(d)
	}
	if x, err := f.Tensor("bn.weight"); err != nil || !cmp.Equal(x.Data(), weight.Data()) {
		t.Errorf("read %v, %v", x, err)
	}
	if f.Metadata()["format"] != "pt" {
		t.Errorf("metadata %v", f.Metadata())
	}

	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := SaveModel(path, m, state); err != nil { // overwrites the file with what was loaded from it
		t.Fatal(err)
	}
	if second, err := os.ReadFile(path); err != nil || !bytes.Equal(first, second) {
		t.Errorf("saving what was loaded gives other bytes (%v)", err)
	}
}

func TestSaveModelRefuses(t *testing.T) {
	for want, change := range map[string]func(*Model){
		"names no architecture":            func(m *Model) { m.Architecture = "" },
		"names no classes":                 func(m *Model) { m.Classes = nil },
		"0 channels":                       func(m *Model) { m.Channels = 0 },
		"65537 channels":                   func(m *Model) { m.Channels = 65537 },
		"-1 x 96 pixels":                   func(m *Model) { m.Height = -1 },
		"96 x 1000000000 pixels":           func(m *Model) { m.Width = 1e9 },
		"resize to -96":                    func(m *Model) { m.Preprocess.Resize = -96 },
		"a scale of +Inf":                  func(m *Model) { m.Preprocess.Scale = math.Inf(1) },
		"a mean of 3 values for 1":         func(m *Model) { m.Preprocess.Mean = make([]float64, 3) },
		"a mean of NaN":                    func(m *Model) { m.Preprocess.Mean[0] = math.NaN() },
		"a std of 0":                       func(m *Model) { m.Preprocess.Std[0] = 0 },
		"grey images for 3 channels":       func(m *Model) { m.Channels = 3 },
		"17 stages":                        func(m *Model) { m.Blocks = make([]int, 17) },
		"0 blocks in stage 2":              func(m *Model) { m.Blocks = []int{1, 0} },
		"1001 blocks in stage 1":           func(m *Model) { m.Blocks = []int{1001} },
		"epoch -1":                         func(m *Model) { m.Epoch = -1 },
		`tensor "a": is nil`:               func(m *Model) {},
		"cannot be the name":               func(m *Model) {},
		"check that its folder exists and": func(m *Model) {},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.safetensors")
		m := sampleModel()
		change(&m)
		var state []tensor.Named
		switch want {
		case `tensor "a": is nil`:
			state = []tensor.Named{{Name: "a"}}
		case "cannot be the name":
			state = []tensor.Named{{Name: "__metadata__", Tensor: tensor.New(1)}}
		case "check that its folder exists and":
			path = filepath.Join(dir, "no", "m.safetensors")
		}
		err := SaveModel(path, m, state)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path) {
			t.Errorf("want %q, got %v", want, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("%s: left %v", want, entries)
		}
	}
}

func TestLoadModelRefuses(t *testing.T) {
	good := `"architecture":"a","classes":["x"],"channels":1`
	for _, c := range []struct{ text, want string }{
		{"", `its metadata has no entry "residual"`},
		{"{", "its description cannot be read"},
		{"[]", "its description cannot be read"},
		{"null", "it names no architecture"},
		{"{} {}", "its description cannot be read"},
		{`{"classes":["x"],"channels":1}`, "it names no architecture"},
		{`{"architecture":"a","channels":1}`, "it names no classes"},
		{`{"architecture":"a","classes":[],"channels":1}`, "it names no classes"},
		{`{"architecture":"a","classes":["x"]}`, "0 channels"},
		{`{"architecture":"a","classes":["x"],"channels":2147483647}`, "2147483647 channels"},
		{`{"architecture":"a","classes":["x"],"channels":1.5}`, "its description cannot be read"},
		{`{` + good + `,"height":-3}`, "an input of -3 x 0 pixels"},
		{`{` + good + `,"preprocess":{"scale":1e999}}`, "its description cannot be read"},
		{`{` + good + `,"blocks":[3,-1]}`, "-1 blocks in stage 2"},
		{`{` + good + `,"metrics":{"loss":"low"}}`, `metric "loss": "low" is not a number`},
		{`{` + good + `,"metrics":{"loss":true}}`, `metric "loss": true is not a number`},
	} {
		path := filepath.Join(t.TempDir(), "m.safetensors")
		var meta map[string]string
		if c.text != "" {
			meta = map[string]string{"residual": c.text}
		}
		var b bytes.Buffer
		if err := safetensors.Write(&b, nil, meta); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		_, f, err := LoadModel(path)
		if err == nil || f != nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path+": not a Residual model: ") {
			t.Errorf("%s: want %q, got %v", c.text, c.want, err)
		}
	}
	if _, _, err := LoadModel(filepath.Join(t.TempDir(), "absent")); err == nil || !strings.Contains(err.Error(), "check the path") {
		t.Errorf("an absent file: %v", err)
	}
}

func TestLoadModelIgnoresUnknownFields(t *testing.T) {
	m, err := ModelIn(map[string]string{"residual": `{"architecture":"a","classes":["x"],"channels":3,"from_the_future":{"x":[1]}}`})
	if err != nil || m.Channels != 3 {
		t.Errorf("%+v, %v", m, err)
	}
	if m.Blocks != nil {
		t.Errorf("a file without blocks has %v", m.Blocks)
	}
}

func TestMetricsJSON(t *testing.T) {
	b, err := json.Marshal(Metrics{"b": math.Inf(1), "a": 0.1, "c": math.NaN()})
	if want := `{"a":0.1,"b":"+Inf","c":null}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	for _, text := range []string{string(b), `{"a":0.1,"b":"+Inf","c":"NaN"}`} { // an earlier version's, too
		var m Metrics
		if err := json.Unmarshal([]byte(text), &m); err != nil || len(m) != 3 || m["a"] != 0.1 || !math.IsInf(m["b"], 1) || !math.IsNaN(m["c"]) {
			t.Errorf("%s was read as %v, %v", text, m, err)
		}
	}
}

func TestVersions(t *testing.T) {
	residual, goVersion := Versions()
	if residual == "" || goVersion != runtime.Version() {
		t.Errorf("Versions() = %q, %q", residual, goVersion)
	}
	module := func(path, version string) *debug.Module { return &debug.Module{Path: path, Version: version} }
	replaced := module(modulePath, "v1.0.0")
	replaced.Replace = module("../fork", "")
	for want, info := range map[string]debug.BuildInfo{
		"v1.2.3":   {Main: *module(modulePath, "v1.2.3")},
		"v1.1.0":   {Main: *module("example.org/user", "v9.0.0"), Deps: []*debug.Module{module("example.org/x", "v3.0.0"), module(modulePath, "v1.1.0")}},
		"(devel)":  {Main: *module(modulePath, "(devel)")},
		"(devel) ": {Main: *module("example.org/user", "v9.0.0"), Deps: []*debug.Module{replaced}},
	} {
		if got := versionIn(&info); got != strings.TrimSpace(want) {
			t.Errorf("%+v: %q, want %q", info, got, want)
		}
	}
}

// The description in a file keeps its names and their order, so that files written
// before read the same, and the same model is the same bytes.
func TestModelJSON(t *testing.T) {
	m := sampleModel()
	m.Residual, m.Go, m.Metrics = "v1", "go1", nil
	metadata, err := m.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"architecture":"d2l-resnet18","blocks":[3,4,6,3],"classes":["coat","bag \u003c\u0026\u003e"],"channels":1,"height":96,"width":96,` +
		`"preprocess":{"resize":96,"interpolation":"bilinear","scale":0.00392156862745098,"mean":[0.1307],"std":[0.3081],"grey":true},` +
		`"residual":"v1","go":"go1","dataset":"fashion-mnist","epoch":3}`
	if got := metadata["residual"]; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

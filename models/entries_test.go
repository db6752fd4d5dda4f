package models

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// described is the description of a network by testdata/torchvision_nets.py.
type described struct {
	Name    string
	Params  int64
	Entries int
	Names   string // SHA-256
	MACs    int64
	Layers  string // SHA-256
}

func readDescribed(t *testing.T) map[string]described {
	t.Helper()
	text, err := os.ReadFile("testdata/torchvision_nets.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Models []described }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]described{}
	for _, d := range file.Models {
		all[d.Name] = d
	}
	if len(all) != len(resNets) {
		t.Fatalf("%d networks are described, want %d", len(all), len(resNets))
	}
	return all
}

// layout lists names and shapes in the same format as the script.
func layout(m nn.Module) string {
	var lines []string
	for _, p := range nn.Named(m) {
		lines = append(lines, fmt.Sprintf("%s %v", p.Name, p.Value.Shape()))
	}
	return strings.Join(lines, "\n")
}

// Several checks share each model, since making the large ones takes some time.
func TestEveryEntry(t *testing.T) {
	torch := readDescribed(t)
	for _, name := range Names() {
		e, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		m := e.New(Config{})
		s, err := nn.Summary(m, tensor.Shape{1, e.Channels, e.Height, e.Width})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Rows[0].Output; !got.Equal(tensor.Shape{1, e.Classes}) {
			t.Errorf("%s gives %v, want [1, %d]", name, got, e.Classes)
		}
		if s.Params != e.Params || e.Count(Config{}) != e.Params {
			t.Errorf("%s has %d parameters, its entry says %d", name, s.Params, e.Params)
		}
		if d, ok := torch[name]; ok {
			compareWithTorch(t, d, m, s)
		}
		checkFacts(t, e)
		checkStages(t, e, m)
	}
}

func compareWithTorch(t *testing.T, d described, m nn.Module, s *nn.Table) {
	t.Helper()
	if n := len(nn.Named(m)); s.Params != d.Params || n != d.Entries || digest(layout(m)) != d.Names {
		t.Errorf("%s has %d parameters in %d tensors, torchvision's %d in %d; its names and shapes are\n%s",
			d.Name, s.Params, n, d.Params, d.Entries, layout(m))
	}
	var lines []string
	for i, r := range s.Rows {
		if i+1 < len(s.Rows) && s.Rows[i+1].Depth > r.Depth || r.Class == "Flatten" { // a function in torchvision
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %s %v %d %d", r.Path, r.Class, r.Output, r.Params, r.MACs))
	}
	if text := strings.Join(lines, "\n"); s.MACs != d.MACs || digest(text) != d.Layers {
		t.Errorf("%s has %d multiply-adds, torchvision's %d; its layers are\n%s", d.Name, s.MACs, d.MACs, text)
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func checkFacts(t *testing.T, e Entry) {
	t.Helper()
	if e.Description == "" || e.Source == "" || e.Family == "" || e.Kind == "" {
		t.Errorf("%s lacks a description, a source, a family or a kind", e.Name)
	}
	p := e.Preprocess
	if n := len(p.Mean); n != len(p.Std) || n != 0 && n != e.Channels || (p.ResizeShorter > 0) != (p.Interpolation != "") || p.ResizeShorter > 0 && p.ResizeShorter < e.Height {
		t.Errorf("%s: the preparation of its images is not plausible: %+v", e.Name, e)
	}
}

// The stages of a residual network are those of its entry, and the names of its parameters
// begin with the names of the blocks.
func checkStages(t *testing.T, e Entry, m nn.Module) {
	t.Helper()
	net, ok := m.(Net)
	if ok == (e.Kind == Plain) {
		t.Errorf("%s is %s, but as a Net: %t", e.Name, e.Kind, ok)
	}
	if !ok {
		return
	}
	names := layout(m)
	var blocks []int
	for _, s := range net.Stages() {
		blocks = append(blocks, len(s.Blocks))
		for i, b := range s.Blocks {
			if path := fmt.Sprintf("\n%s.%d.conv1.weight ", s.Name, i); !strings.Contains(names, path) {
				t.Errorf("%s has no parameter %s", e.Name, path)
			}
			if i > 0 && !b.Identity() {
				t.Errorf("%s: block %d of %s is not an identity block", e.Name, i, s.Name)
			}
		}
	}
	if !slices.Equal(blocks, e.Blocks) {
		t.Errorf("%s has blocks %v, its entry says %v", e.Name, blocks, e.Blocks)
	}
}

// Count is exact for any configuration.
func TestCount(t *testing.T) {
	for _, name := range []string{
		"d2l-resnet18", "d2l-bnlenet", "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "preresnet18", "preresnet50",
		"cifar-plain8", "cifar-resnet14", "cifar-preresnet26", "whitened-resnet8",
	} {
		e, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		c := Config{Channels: 2, Classes: 7}
		for i := range e.Blocks {
			c.Blocks = append(c.Blocks, 1+(i+len(name))%2)
		}
		if got, want := e.Count(c), nn.Count(e.New(c)); got != want {
			t.Errorf("%s %+v is said to have %d parameters and has %d", name, c, got, want)
		}
	}
}

func TestCIFARDepths(t *testing.T) {
	for name, params := range map[string]int64{
		"cifar-resnet8": 75290, "cifar-plain20": 269722, "cifar-resnet20": 269722, "cifar-resnet56": 853018,
		"cifar-preresnet110": 1727962, "cifar-resnet1202": 19421274,
	} {
		e, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if e.Params != params || e.Name != name {
			t.Errorf("%s has %d parameters, want %d", name, e.Params, params)
		}
	}
	for name, want := range map[string]string{
		"cifar-resnet21":                      "cifar-resnet20 and cifar-resnet26",
		"cifar-plain57":                       "cifar-plain56 and cifar-plain62",
		"cifar-preresnet2":                    "nearest is cifar-preresnet8",
		"cifar-resnet9998":                    "at most 2000",
		"cifar-resnet99999999999999999999999": "at most 2000",
		"cifar-resnet020":                     "not known",
		"cifar-resnet":                        "not known",
		"cifar-resnet-20":                     "not known",
	} {
		if _, err := Lookup(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// The plain network is the residual one without the additions: it has the same parameters, by
// name and shape.
func TestPlainHasTheParametersOfResNet(t *testing.T) {
	plain, err := New("cifar-plain20", Config{})
	if err != nil {
		t.Fatal(err)
	}
	residual, err := New("cifar-resnet20", Config{})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := layout(plain), layout(residual); a != b {
		t.Errorf("the plain net has\n%s\nand the residual one\n%s", a, b)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		conf Config
		want string
	}{
		{"resnet18", Config{Blocks: []int{2, 2, 2}}, "has 4 stages, but blocks were given for 3: 2,2,2; its own are 2,2,2,2"},
		{"resnet18", Config{Blocks: []int{2, 0, 2, 2}}, "0 blocks in stage 2 of 2,0,2,2"},
		{"resnet18", Config{Blocks: []int{2, 2, 2, 1001}}, "1 to 1000"},
		{"d2l-bnlenet", Config{Blocks: []int{2}}, "no stages"},
		{"resnet18", Config{Classes: -1}, "negative"},
		{"resnet18", Config{StochasticDepth: 1}, "from 0 to below 1"},
		{"resnet18", Config{StochasticDepth: -0.1}, "from 0 to below 1"},
		{"cifar-plain20", Config{StochasticDepth: 0.5}, "no shortcuts"},
		{"cifar-plain20", Config{ZeroInit: true}, "no residual branches"},
		{"resnet18", Config{Blocks: []int{}, ZeroInit: true, StochasticDepth: 0.2, Classes: 3}, ""},
	} {
		_, err := New(c.name, c.conf)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.name)) {
			t.Errorf("%s %+v: %v, want %q", c.name, c.conf, err, c.want)
		}
	}
}

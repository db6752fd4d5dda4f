package exchange

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

func TestPackageNames(t *testing.T) {
	for dir, want := range map[string]string{
		"shoes": "shoes", "My-Shoes": "myshoes", "2shoes": "shoes", "shoes2": "shoes2", "go": "model", "func": "model",
		"": "model", ".": "model", "main": "model", "schuhe_ä": "schuhe_", "__": "model", "a\n": "a",
	} {
		if got := packageName(dir); got != want {
			t.Errorf("%q gives %q, want %q", dir, got, want)
		}
	}
}

func TestSaveGoKeepsOtherFiles(t *testing.T) {
	info := checkpoint.Model{Architecture: "d2l-bnlenet\"\n*/", Classes: make([]string, 10), Input: prepare.Input{Channels: 1, Height: 28, Width: 28}}
	m := models.NewD2LBNLeNet(1, 10)
	dir := filepath.Join(t.TempDir(), "new", "shoes")
	for range 2 { // the second time, it replaces its own files
		if name, err := SaveGo(dir, m, info); err != nil || name != "shoes" {
			t.Fatalf("%q, %v", name, err)
		}
	}
	source := filepath.Join(dir, goSource)
	if err := os.WriteFile(source, []byte("package shoes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := SaveGo(dir, m, info); err == nil || !strings.Contains(err.Error(), source) {
		t.Errorf("another program's file: %v", err)
	}
	if b, _ := os.ReadFile(source); string(b) != "package shoes\n" {
		t.Errorf("it became %q", b)
	}
	// A model file that no package embeds belongs to somebody else, too.
	dir = t.TempDir()
	for _, name := range []string{GoModelFile, GoGraphFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, architecture := range []string{"d2l-bnlenet", "my-net"} {
		info.Architecture = architecture
		if _, err := SaveGo(dir, m, info); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", architecture, err)
		}
	}
	for _, name := range []string{GoModelFile, GoGraphFile} {
		if b, _ := os.ReadFile(filepath.Join(dir, name)); string(b) != "mine" {
			t.Errorf("%s became %q", name, b)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, goSource)); err == nil {
		t.Error("a source was written")
	}
}

// A network that the registry cannot build is embedded as a graph. Another export into the
// same folder leaves only one model file there.
func TestSaveGoEmbedsReadableGraphs(t *testing.T) {
	info := checkpoint.Model{Architecture: "d2l-bnlenet", Classes: strings.Split("abcdefghij", ""), Input: prepare.Input{Channels: 1, Height: 28, Width: 28}}
	lenet := models.NewD2LBNLeNet(1, 10)
	changed := models.NewD2LBNLeNet(1, 10)
	changed.Sequential[2] = nn.ReLU{} // the same parameters
	own := info
	own.Architecture = "my-lenet"
	dir := filepath.Join(t.TempDir(), "shoes")
	for _, c := range []struct {
		name string
		m    nn.Module
		info checkpoint.Model
		want string
	}{
		{"of the registry", lenet, info, GoModelFile},
		{"under a name of its own", lenet, own, GoGraphFile},
		{"of the registry again", lenet, info, GoModelFile},
		{"of its parameters alone", changed, info, GoGraphFile},
		{"another that is called so", nn.Sequential{nn.Flatten{}, nn.NewLinear(28*28, 10)}, info, GoGraphFile},
	} {
		if _, err := SaveGo(dir, c.m, c.info); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var files []string
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			files = append(files, e.Name())
		}
		if want := []string{goSource, c.want}; !slices.Equal(slices.Sorted(slices.Values(files)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: the folder holds %v, want %v", c.name, files, want)
		}
		if file, err := GoEmbedded(dir); err != nil || filepath.Base(file) != c.want {
			t.Errorf("%s: embeds %s, %v", c.name, file, err)
		}
	}
}

// A package that could not read its model is not written.
func TestSaveGoRefusesBeforeItWrites(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shoes")
	info := checkpoint.Model{Architecture: "my-net", Classes: []string{"a", "b"}, Input: prepare.Input{Channels: 1, Height: 28, Width: 28}}
	for want, m := range map[string]nn.Module{
		"2 class names": nn.Sequential{nn.Flatten{}, nn.NewLinear(28*28, 3)},
		"input":         nn.Sequential{nn.Flatten{}, nn.NewLinear(27*27, 2)},
	} {
		if _, err := SaveGo(dir, m, info); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error of %v is %v, want one of %q", m, err, want)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
}

// A network of one's own needs no name for its file: that of its type stands for it.
func TestSaveNamesTheNetworkByItsType(t *testing.T) {
	m := nn.Sequential{nn.Flatten{}, nn.NewLinear(4, 2)}
	info := checkpoint.Model{Classes: []string{"a", "b"}, Input: prepare.Input{Channels: 1, Height: 2, Width: 2}}
	for given, want := range map[string]string{"": "Sequential", "my-net": "my-net"} {
		info.Architecture = given
		graph, err := Save(filepath.Join(t.TempDir(), "net.onnx"), m, info, ExportConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if read, err := checkpoint.ModelIn(graph.Metadata); err != nil || read.Architecture != want {
			t.Errorf("%q: the file says %q, %v", given, read.Architecture, err)
		}
		if _, err := SaveGo(filepath.Join(t.TempDir(), "net"), m, info); err != nil {
			t.Errorf("%q: %v", given, err)
		}
	}
}

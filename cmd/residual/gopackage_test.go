package main

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
)

// program asks an exported package about a picture.
const program = `package main

import (
	"encoding/json"
	"image/png"
	"os"

	"example.com/program/shoes"
)

func main() {
	f, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	img, err := png.Decode(f)
	if err != nil {
		panic(err)
	}
	answer, err := shoes.Predict(img)
	if err != nil {
		panic(err)
	}
	json.NewEncoder(os.Stdout).Encode(answer)
}
`

// tags are the build tags of this test, as a flag: without assembly the machine's own
// precision is another, and so are the answers.
func tags() string {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			return " -tags=" + s.Value
		}
	}
	return ""
}

// TestExportedGoPackage builds a program on an exported package, in a module of
// its own and without a network, and holds its answer to that of predict.
func TestExportedGoPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program; run without -short")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	// What this module requires, its user requires too.
	text := regexp.MustCompile(`(?m)^module .*$`).ReplaceAllString(string(mod), "module example.com/program")
	write("go.mod", text+"\nrequire github.com/residual-ml/residual v0.0.0\nreplace github.com/residual-ml/residual => "+filepath.ToSlash(root)+"\n")
	write("go.sum", string(sum))
	write("main.go", program)

	m := models.NewD2LBNLeNet(1, 10)
	info := checkpoint.Model{
		Architecture: "d2l-bnlenet", Classes: strings.Split("abcdefghij", ""), Channels: 1, Height: 28, Width: 28,
		Preprocess: checkpoint.Preprocess{NativeHeight: 28, NativeWidth: 28, Grey: true},
	}
	model := filepath.Join(dir, "net.safetensors")
	if err := checkpoint.SaveModel(model, info, nn.StateDict(m)); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := call("export", model, "--go", filepath.Join(dir, "shoes"))
	if status != 0 || !strings.Contains(stdout, "package shoes with d2l-bnlenet inside") {
		t.Fatalf("export: status %d, %s%s", status, stdout, stderr)
	}
	paths, _ := pictures(t, 1)
	cmd := exec.Command("go", "run", ".", paths[0])
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod"+tags(), "GOWORK=off", "CGO_ENABLED=0")
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go run: %v\n%s", err, errors.String())
	}
	var got []struct {
		Class       string
		Probability float64
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	status, stdout, stderr = call("predict", model, paths[0], "--json", "-k", "10")
	var want []prediction
	if err := json.Unmarshal([]byte(stdout), &want); err != nil || status != 0 {
		t.Fatalf("predict: status %d, %v, %s", status, err, stderr)
	}
	if len(got) != 10 {
		t.Fatalf("%d classes", len(got))
	}
	const tolerance = 1e-6
	for i, p := range want[0].Predictions {
		if got[i].Class != p.Class || math.Abs(got[i].Probability-p.Probability) > tolerance {
			t.Errorf("answer %d is %+v, that of predict %+v", i, got[i], p)
		}
	}
}

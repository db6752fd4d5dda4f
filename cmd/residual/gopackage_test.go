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
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// program asks an exported package about an image.
const program = `package main

import (
	"context"
	"encoding/json"
	"image/png"
	"os"

	"github.com/residual-ml/residual/inference"

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
	c, err := shoes.Classifier()
	if err != nil {
		panic(err)
	}
	if c, err = c.Viewing(inference.Crops); err != nil {
		panic(err)
	}
	if many, err := c.Predict(context.Background(), img, 0); err != nil || len(many) != len(answer) {
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

// programFolder is a module of its own for a program on an exported package, which
// needs no network.
func programFolder(t *testing.T) (dir string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a program; run without -short")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
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
	return dir
}

// answer is a class as the program prints it.
type answer struct {
	Class       string
	Probability float64
}

// runProgram returns what the program in dir says of an image.
func runProgram(t *testing.T, dir, image string) (got []answer) {
	t.Helper()
	cmd := exec.Command("go", "run", ".", image)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod"+tags(), "GOWORK=off", "CGO_ENABLED=0")
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go run: %v\n%s", err, errors.String())
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return got
}

// sameAnswers allows for the precision in which probabilities are printed.
func sameAnswers(t *testing.T, got, want []answer) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d classes, want %d", len(got), len(want))
	}
	const tolerance = 1e-6
	for i, p := range want {
		if got[i].Class != p.Class || math.Abs(got[i].Probability-p.Probability) > tolerance {
			t.Errorf("answer %d is %+v, and should be %+v", i, got[i], p)
		}
	}
}

// TestExportedGoPackage builds a program on an exported package and holds its answer
// to that of predict.
func TestExportedGoPackage(t *testing.T) {
	dir := programFolder(t)
	m := models.NewD2LBNLeNet(1, 10)
	info := checkpoint.Model{
		Architecture: "d2l-bnlenet", Classes: strings.Split("abcdefghij", ""),
		Input: prepare.Input{Channels: 1, Height: 28, Width: 28, Preprocess: prepare.Steps{NativeHeight: 28, NativeWidth: 28, Grey: true}},
	}
	model := filepath.Join(dir, "net.safetensors")
	if err := checkpoint.SaveModel(model, info, nn.StateDict(m)); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := call("export", model, "--go", filepath.Join(dir, "shoes"))
	if status != 0 || !strings.Contains(stdout, "package shoes with d2l-bnlenet inside") || !strings.Contains(stdout, exchange.GoModelFile) {
		t.Fatalf("export: status %d, %s%s", status, stdout, stderr)
	}
	paths, _ := images(t, 1)
	got := runProgram(t, dir, paths[0])
	status, stdout, stderr = call("predict", model, paths[0], "--json", "-k", "10")
	var said []prediction
	if err := json.Unmarshal([]byte(stdout), &said); err != nil || status != 0 {
		t.Fatalf("predict: status %d, %v, %s", status, err, stderr)
	}
	var want []answer
	for _, p := range said[0].Predictions {
		want = append(want, answer{p.Class, p.Probability})
	}
	sameAnswers(t, got, want)
}

// ownNet is a network that the registry does not have: a depthwise block with an attention over
// channels that is written as a formula.
type ownNet struct {
	Stem, Depth *nn.Conv2d
	BN          *nn.BatchNorm2d
	Group       *nn.GroupNorm
	Gate        *nn.Linear
	Head        nn.Sequential
}

func newOwnNet() *ownNet {
	m := &ownNet{
		Stem: nn.NewConv2d(1, 6, 3, nn.Conv{Stride: 2, Padding: 1}), BN: nn.NewBatchNorm2d(6),
		Depth: nn.NewConv2d(6, 6, 3, nn.Conv{Groups: 6, Padding: 1}), Group: nn.NewGroupNorm(3, 6), Gate: nn.NewLinear(6, 6),
		Head: nn.Sequential{nn.Upsample{Scale: 0.5, Bilinear: true}, nn.AdaptiveAvgPool2d{H: 1, W: 1}, nn.Flatten{}, nn.NewLayerNorm([]int{6}), nn.NewLinear(6, 3)},
	}
	nn.Init(m, 5, nn.KaimingNormal)
	return m
}

func (m *ownNet) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	y := m.BN.Forward(m.Stem.Forward(x)).Hardswish()
	y = y.Add(m.Group.Forward(m.Depth.Forward(y)).ReLU6())
	gate := m.Gate.Forward(y.Mean(2, 3).Reshape(y.Shape[0], 6)).Hardsigmoid()
	y = y.Mul(gate.Reshape(y.Shape[0], 6, 1, 1)).Maximum(y.Scale(0.1))
	return x.Graph.Record(m, first, m.Head.Forward(y))
}

// A net of the caller's own becomes a package that answers as the net does; so does its
// ONNX file, exported by the program.
func TestGoPackageOfOwnNet(t *testing.T) {
	dir := programFolder(t)
	m := newOwnNet()
	info := checkpoint.Model{
		Architecture: "my-net", Classes: []string{"heel", "sole", "tongue"},
		Input: prepare.Input{Channels: 1, Height: 28, Width: 28, Preprocess: prepare.Steps{NativeHeight: 28, NativeWidth: 28, Grey: true, Mean: []float64{0.3}, Std: []float64{0.4}}},
	}
	package1 := filepath.Join(dir, "shoes")
	name, err := exchange.SaveGo(package1, m, info)
	if err != nil || name != "shoes" {
		t.Fatalf("%q, %v", name, err)
	}
	file := filepath.Join(dir, "own.safetensors")
	if err := checkpoint.SaveModel(file, info, nn.StateDict(m)); err != nil {
		t.Fatal(err)
	}
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	c, err := inference.LoadInto(newOwnNet(), file, dev, engine.Auto)
	if err != nil {
		t.Fatal(err)
	}
	paths, _ := images(t, 1)
	alone, err := c.PredictFile(t.Context(), paths[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []answer
	for _, p := range alone {
		want = append(want, answer{p.Class, p.Probability})
	}
	sameAnswers(t, runProgram(t, dir, paths[0]), want)

	shoes := filepath.Join(dir, "shoes.onnx")
	if _, err := exchange.Save(shoes, m, info, exchange.ExportConfig{}); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := call("export", shoes, "--go", package1)
	if status != 0 || !strings.Contains(stdout, "package shoes with my-net inside") || !strings.Contains(stdout, exchange.GoGraphFile) {
		t.Fatalf("export: status %d, %s%s", status, stdout, stderr)
	}
	sameAnswers(t, runProgram(t, dir, paths[0]), want)
}

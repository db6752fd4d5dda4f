package main

import (
	"flag"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/weights/onnx"
	"github.com/residual-ml/residual/weights/safetensors"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/models.md")

// docs/models.md has the models of the registry, and the measured speeds of docs/models.json,
// in which every model must have one.
func TestModelsPage(t *testing.T) {
	const path, speedFile, start = "../../docs/models.md", "../../docs/models.json", "<!-- what follows is printed -->\n\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"models", "--markdown"}
	if _, err := os.Stat(speedFile); err == nil {
		args = append(args, "--speed", speedFile)
	}
	status, tables, stderr := call(args...)
	if status != 0 {
		t.Fatal(stderr)
	}
	if strings.Contains(tables, "| – |") {
		t.Error("docs/models.json lacks the speed of a model; `go run ./cmd/residual models --measure --speed docs/models.json` adds it")
	}
	head, current, found := strings.Cut(string(page), start)
	if !found {
		t.Fatalf("docs/models.md has no line %q", start)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+start+tables), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if current != tables {
		t.Error("docs/models.md does not end with what `residual models --markdown` prints; `go test ./cmd/residual -run TestModelsPage -update` puts that there")
	}
}

// TestInterchangePage runs the command lines of docs/interchange.md. Its file of
// weights is that of a net with fewer blocks, so that it takes no time; and a
// safetensors file, whatever its name says.
func TestInterchangePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/interchange.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	writeStart(t)
	ran := 0
	fenced, block := false, ""
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if fence, ok := strings.CutPrefix(line, "```"); ok {
			fenced, block = !fenced, fence
			continue
		}
		if !fenced || block != "" || !strings.HasPrefix(line, "residual ") {
			continue
		}
		args := strings.Fields(line)[1:]
		if args[0] == "train" { // as deep as the file
			args = append(args, "--blocks", "1,1,1,1")
		}
		status, stdout, stderr := call(args...)
		if status != 0 {
			t.Fatalf("%s: %s", line, stderr)
		}
		kind := args[0]
		if slices.Contains(args, "other.onnx") {
			kind += " other"
		}
		for _, said := range saidBy[kind] {
			if !strings.Contains(stdout+stderr, said) || args[0] == "train" && !strings.Contains(string(page), said) {
				t.Errorf("%s: %q was not said:\n%s", line, said, stdout)
			}
		}
		ran++
	}
	if ran < 9 {
		t.Errorf("only %d command lines were found", ran)
	}
	for _, name := range []string{"back.safetensors", "back.npz", "resnet18.onnx"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

var saidBy = map[string][]string{
	"import other":  {"mine.onnx: ONNX graph for 1000 classes", "the shorter side resized to 256 pixels by bilinear interpolation, the middle of 224x224 cut out"},
	"predict other": {"dog.png\n"},
	"import":        {"like resnet18 with 1, 1, 1, 1 blocks a stage for 1000 classes"},
	"train": {
		" parameters are kept, and the 5,130 of the last layer fc are new\n", "the last layer fc is new, for 10 classes: the file's is for 1000\n",
		"the first layer conv1 takes 1 channel: the weights of the file's 3 were summed\n",
	},
}

// writeStart writes the files that the page begins with.
func writeStart(t *testing.T) {
	t.Helper()
	e, err := models.Lookup("resnet18")
	if err != nil {
		t.Fatal(err)
	}
	m := e.New(models.Config{Blocks: []int{1, 1, 1, 1}})
	if err := checkpoint.WriteFile("resnet18.pth", func(w io.Writer) error { return safetensors.Write(w, nn.StateDict(m), nil) }); err != nil {
		t.Fatal(err)
	}
	other := nn.Sequential{nn.NewConv2d(3, 4, 5, nn.Conv{Stride: 4}), nn.ReLU{}, nn.AdaptiveAvgPool2d{}, nn.Flatten{}, nn.NewLinear(4, 1000)}
	graph, err := exchange.Export(other, exchange.ExportConfig{Input: prepare.Input{Channels: 3, Height: 224, Width: 224}, AnySize: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.WriteFile("other.onnx", func(w io.Writer) error { return onnx.Write(w, graph) }); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("classes.txt", []byte(strings.Repeat("some dog\n", 1000)), 0o666); err != nil {
		t.Fatal(err)
	}
	img := image.NewRGBA(image.Rect(0, 0, 300, 240))
	for i := range 300 * 240 {
		img.Set(i%300, i/300, color.RGBA{uint8(i), uint8(i / 7), uint8(i / 300), 255})
	}
	f, err := os.Create("dog.png")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test binary stand in for both programs.
func TestMain(m *testing.M) {
	if kind := os.Getenv("BENCH_STAND_IN"); kind != "" {
		standIn(kind)
		return
	}
	os.Exit(m.Run())
}

// standIn prints what a program would print. Residual always reports 30 images per second
// and 100 bytes; PyTorch 20 and 200, in bf16 25, frozen 40, and it cannot compile. ONNX
// Runtime reports 20 and with its own integer operations 25, OpenVINO 22, 23 in two requests
// at once and 24 in two parts.
func standIn(kind string) {
	flag := func(name string) string {
		if i := slices.Index(os.Args, name); i > 0 {
			return os.Args[i+1]
		}
		return ""
	}
	end := func(complaint string) {
		fmt.Fprintln(os.Stderr, complaint)
		os.Exit(1)
	}
	command, threads, precision := filepath.Base(os.Args[1]), flag("--threads"), flag("--precision")
	if threads == "" { // for what runs on one core
		threads = "1"
	}
	switch {
	case command == "doctor":
		fmt.Println(`{"cpu": "Z80", "cores": 2, "threads": 2, "kernels": "abacus", "memory_bytes": 65536, "features": [{"name": "LDIR", "has": true}, {"name": "AMX", "has": false}],
			"gpu": "CUDA 99.0 driver; cuda:0: Voodoo2", "go": "go1.99", "version": "v9", "os": "cpm", "arch": "z80", "data": [{"name": "fashion-mnist", "ok": true, "where": "/here"}]}`)
		return
	case command == "import", slices.Contains(os.Args, "--write"), command == "predict", slices.Contains(os.Args, "--image"):
		return
	case command == "-c":
		fmt.Println("9.9-of-today")
		return
	case command == "onnx_quantize.py":
		if err := os.WriteFile(os.Args[2], nil, 0o666); err != nil {
			end(err.Error())
		}
		return
	case kind == "no int8" && precision == "int8":
		end("no such precision")
	case kind == "broken", kind == "no inference" && flag("--mode") == "infer":
		end("no such thing")
	case kind == "silent":
		fmt.Println("{}")
		return
	case kind == "one thread":
		threads = "1"
	case slices.Contains(os.Args, "--compile"):
		end("first line\nPyTorch 9.9 has no torch.compile")
	}
	speed, memory := 20, 200
	switch {
	case command == "bench" || command == "train":
		speed, memory = 30, 100
		if precision == "auto" {
			precision = "bf16"
		}
		if flag("--feed") != "" {
			speed = 27
		}
	case command == "openvino_resnet.py":
		speed = 22
		if slices.Contains(os.Args, "--split") {
			speed = 24
		} else if flag("--streams") != "" {
			speed = 23
		}
	case strings.HasSuffix(flag("--file"), "-qoperator.onnx"):
		speed = 25
	case slices.Contains(os.Args, "--capture"):
		speed = 24
		if precision == "bf16-weights" {
			speed = 36
		}
	case flag("--layout") == "frozen":
		speed = 40
	case flag("--layout") == "contiguous":
		speed = 10
	case precision == "bf16":
		speed, memory = 25, 400
	}
	if command == "torch_load.py" {
		fmt.Printf(`{"load_milliseconds": 300, "threads": %s, "torch": "9.9"}`, threads)
		return
	}
	if flag("--mode") == "weights" {
		fmt.Printf(`{"load_milliseconds": 45, "threads": %s}`, threads)
		return
	}
	switch command {
	case "train":
		fmt.Printf(`{"images_per_second": 1, "seconds": 2, "peak_memory_bytes": 7, "settings": {"threads": %s, "precision": %q}}`, threads, precision)
	case "torch_recipe.py":
		for range map[bool]int{true: 10, false: 1}[flag("--epochs") == "10"] {
			fmt.Printf(`{"images_per_second": 1, "seconds": 5, "threads": %s, "torch": "9.9", "precision": %q}`+"\n", threads, precision)
		}
	default:
		fmt.Printf(`{"images_per_second": %d, "peak_rss_bytes": %d, "threads": %s, "torch": "9.9", "kernels": "abacus", "precision": %q, "loader_images_per_second": 5000}`,
			speed, memory, threads, precision)
	}
}

// compared runs a comparison of the stand-ins.
func compared(t *testing.T, kind string, args ...string) (*comparison, string, error) {
	t.Helper()
	t.Setenv("BENCH_STAND_IN", kind)
	s, err := parse(append([]string{"-threads", "2"}, args...), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	m := &machine{settings: s, python: os.Args[0], scripts: ".", program: os.Args[0], log: &log}
	c, err := m.compare(context.Background())
	return c, log.String(), err
}

func TestCompare(t *testing.T) {
	c, log, err := compared(t, "both", "-rounds", "3")
	if err != nil {
		t.Fatal(err)
	}
	text := c.text()
	for _, want := range []string{"PyTorch 9.9", "Z80", "abacus kernels", "1.50", "0.75", "100 B", "200 B", "0.50 of it"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not say %q:\n%s", want, text)
		}
	}
	// The second round of training is in the opposite order, and the third in the first one's.
	var order []string
	for _, line := range strings.Split(log, "\n")[:6] {
		order = append(order, strings.Fields(line)[3])
	}
	want := []string{"Residual", "PyTorch", "PyTorch", "Residual", "Residual", "PyTorch"}
	if !slices.Equal(order, want) {
		t.Errorf("turns were taken in the order %q, want %q", order, want)
	}
	if out, err := json.Marshal(c); err != nil || !bytes.Contains(out, []byte(`"ratio":{"median":1.5`)) {
		t.Errorf("JSON: %v\n%s", err, out)
	}
}

func TestCompareComplains(t *testing.T) {
	for kind, want := range map[string]string{
		"broken":     "no such thing",
		"silent":     "no images_per_second",
		"one thread": "1 threads when asked for 2",
	} {
		if _, _, err := compared(t, kind); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that says %q", kind, err, want)
		}
	}
}

func TestRelatePairsWithinRounds(t *testing.T) {
	rows := []speedRow{{Turns: []float64{10, 40, 30}}, {Turns: []float64{5, 40, 10}}}
	relate(rows)
	if got, want := rows[0].Rate, (spread{Median: 30, Min: 10, Max: 40}); got != want {
		t.Errorf("rate %v, want %v", got, want)
	}
	if got, want := *rows[1].Ratio, (spread{Median: 2, Min: 1, Max: 3}); got != want {
		t.Errorf("ratio %v, want %v", got, want)
	}
	if got := spreadOf([]float64{4, 1}); got.Median != 2.5 {
		t.Errorf("median of two %v, want their mean", got.Median)
	}
}

func TestParseComplains(t *testing.T) {
	for _, args := range []string{"-batch=0", "-rounds=-1", "-modes=test", "-layouts=channels_last,", "-rows=train-63", "-epoch-images=0", "train"} {
		if _, err := parse([]string{args}, &bytes.Buffer{}); err == nil {
			t.Errorf("%s was accepted", args)
		}
	}
}

func TestFindPythonSaysWhatToInstall(t *testing.T) {
	t.Setenv("PYTHON", "/no/such/python")
	_, err := findPython(context.Background())
	if err == nil || !strings.Contains(err.Error(), "apt install python3-torch") || !strings.Contains(err.Error(), "/no/such/python") {
		t.Errorf("%v, want an error that names the interpreter and what to install", err)
	}
}

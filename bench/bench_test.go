package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
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

// standIn prints what a program would: Residual always 30 images a second and
// 100 bytes, PyTorch 20 and 200, frozen 40.
func standIn(kind string) {
	flag := func(name string) string {
		if i := slices.Index(os.Args, name); i > 0 {
			return os.Args[i+1]
		}
		return ""
	}
	speed, memory := 20, 200
	switch {
	case os.Args[1] == "bench":
		speed, memory = 30, 100
	case flag("--layout") == "frozen":
		speed = 40
	}
	switch threads := flag("--threads"); kind {
	case "broken":
		fmt.Fprintln(os.Stderr, "no such thing")
		os.Exit(1)
	case "silent":
		fmt.Println("{}")
	case "one thread":
		fmt.Println(`{"images_per_second": 1, "threads": 1}`)
	default:
		fmt.Printf(`{"images_per_second": %d, "peak_rss_bytes": %d, "threads": %s, "torch": "9.9", "kernels": "abacus"}`, speed, memory, threads)
	}
}

// sitting is a comparison of the stand-ins.
func sitting(t *testing.T, kind string, args ...string) (*comparison, string, error) {
	t.Helper()
	t.Setenv("BENCH_STAND_IN", kind)
	s, err := parse(append([]string{"-threads", "2"}, args...), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	m := &machine{settings: s, python: os.Args[0], script: "torch_resnet.py", program: os.Args[0], log: &log}
	c, err := m.compare(context.Background())
	return c, log.String(), err
}

func TestCompare(t *testing.T) {
	c, log, err := sitting(t, "both", "-rounds", "3")
	if err != nil {
		t.Fatal(err)
	}
	text := c.text()
	for _, want := range []string{"PyTorch 9.9", "abacus kernels", "1.50", "0.75", "100 B", "200 B", "0.50 of it"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not say %q:\n%s", want, text)
		}
	}
	// Two rounds of training in opposite order, the third as the first.
	var order []string
	for _, line := range strings.Split(log, "\n")[:6] {
		order = append(order, strings.Fields(line)[3])
	}
	want := []string{"Residual:", "PyTorch", "PyTorch", "Residual:", "Residual:", "PyTorch"}
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
		if _, _, err := sitting(t, kind); err == nil || !strings.Contains(err.Error(), want) {
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
	for _, args := range []string{"-batch=0", "-rounds=-1", "-modes=test", "-layouts=channels_last,", "train"} {
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

package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A trial has the flags of the start with its own behind them, and enough epochs for its steps.
func TestArguments(t *testing.T) {
	byName := map[string]trial{}
	for _, of := range trials {
		if _, twice := byName[of.name]; twice || strings.Contains(of.name, ",") {
			t.Errorf("%q is twice in the table, or has a comma, which -trials cannot name", of.name)
		}
		byName[of.name] = of
	}
	for _, c := range []struct {
		trial string
		n     int
		want  string
	}{
		{"start", 100, "--repeat 19 --epochs 10"},
		{"start", 2500, "--repeat 1 --epochs 24"},
		{"1200 steps", 100, "--repeat 19 --epochs 20"},
		{"rate 0.1", 100, "--lr 0.1"},
		{"frozen norms", 100, "--freeze bn1,layer1.0.bn1"},
		{"default", 100, ""},
	} {
		args := byName[c.trial].arguments(c.n, "bn1,layer1.0.bn1")
		if got := strings.Join(args, " "); !strings.Contains(got, c.want) || (c.want == "") != (len(args) == 0) {
			t.Errorf("%s of %d images: %s", c.trial, c.n, got)
		}
	}
}

// The file of results is read back, and the table says what was not run.
func TestResults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.txt")
	r, err := readResults(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := key{"cifar", 20, "rate 0.1", 0}, key{"cifar", 20, "rate 0.1", 1}
	for k, accuracy := range map[key]float64{a: 0.5, b: 0.75} {
		if err := r.add(k, result{Accuracy: accuracy, Best: 0.8, Steps: 600, Seconds: 12}); err != nil {
			t.Fatal(err)
		}
	}
	again, err := readResults(path)
	if err != nil || len(again.of) != 2 || again.of[b] != r.of[b] || !again.has(a) || again.has(key{"cifar", 100, "rate 0.1", 0}) {
		t.Errorf("read again: %+v, %v", again, err)
	}
	var text strings.Builder
	if err := again.table(&text, []int{20, 100}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text.String(), "\n")
	at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "rate 0.1 ") })
	if at < 0 || !strings.Contains(lines[at], "0.625 ± 0.177 (2)") || !strings.Contains(lines[at], "not run") {
		t.Errorf("the table is\n%s", text.String())
	}
}

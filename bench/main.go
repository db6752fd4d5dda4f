// Command bench runs Residual and PyTorch side by side on one machine in one
// sitting and prints how they compare: images a second in training and in
// inference, and the peak memory of a training step of the notes' recipe.
//
//	go run ./bench
//	PYTHON=/opt/torch/bin/python go run ./bench -rounds 7 -json
//
// The two take turns, and each round gives a ratio of its own, so that a
// machine that slows down or is shared slows both. README.md beside this file
// says what is measured and how PyTorch is set up.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
)

// settings are the flags of the program.
type settings struct {
	residual    string // a built program, or "" to build it
	modes       []string
	layouts     []string
	batch       int
	memoryBatch int
	size        int
	rounds      int
	repeat      int
	warmup      int
	threads     int
	json        bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run parses the command line, measures, and prints the comparison.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	folder, err := scripts()
	if err != nil {
		return err
	}
	python, err := findPython(ctx)
	if err != nil {
		return err
	}
	program := s.residual
	if program == "" {
		dir, err := os.MkdirTemp("", "residual-bench")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if program, err = build(ctx, dir); err != nil {
			return err
		}
	}
	m := &machine{settings: s, python: python, script: filepath.Join(folder, "torch_resnet.py"), program: program, log: stderr}
	result, err := m.compare(ctx)
	if err != nil {
		return err
	}
	if s.json {
		out := json.NewEncoder(stdout)
		out.SetIndent("", "  ")
		return out.Encode(result)
	}
	_, err = io.WriteString(stdout, result.text())
	return err
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	var modes, layouts string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&s.residual, "residual", "", "a built residual program; built from the sources when not given")
	fs.StringVar(&modes, "modes", "train,infer", "what is measured")
	fs.StringVar(&layouts, "layouts", "channels_last,frozen", "settings of PyTorch: channels_last, contiguous, and for inference frozen")
	fs.IntVar(&s.batch, "batch", 64, "images in a batch")
	fs.IntVar(&s.memoryBatch, "memory-batch", 256, "images in a batch where memory is measured; 0 leaves that out")
	fs.IntVar(&s.size, "size", 96, "height and width of the images")
	fs.IntVar(&s.rounds, "rounds", 3, "turns each program takes")
	fs.IntVar(&s.repeat, "repeat", 10, "measurements in a turn, of which the median is taken")
	fs.IntVar(&s.warmup, "warmup", 3, "steps before the first measurement of a turn")
	fs.IntVar(&s.threads, "threads", runtime.NumCPU(), "threads of both programs")
	fs.BoolVar(&s.json, "json", false, "print JSON")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	if fs.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q: settings are flags, see -help", fs.Arg(0))
	}
	for name, n := range map[string]int{"batch": s.batch, "size": s.size, "rounds": s.rounds, "repeat": s.repeat, "threads": s.threads} {
		if n < 1 {
			return s, fmt.Errorf("-%s %d: give at least 1", name, n)
		}
	}
	var err error
	if s.modes, err = choose("modes", modes, "train", "infer"); err != nil {
		return s, err
	}
	s.layouts, err = choose("layouts", layouts, "channels_last", "contiguous", "frozen")
	return s, err
}

// choose splits a list by commas and checks each of it against what is known.
func choose(name, list string, known ...string) ([]string, error) {
	chosen := strings.Split(list, ",")
	for _, word := range chosen {
		ok := false
		for _, k := range known {
			ok = ok || word == k
		}
		if !ok {
			return nil, fmt.Errorf("-%s: %q is not known; choose from %s", name, word, strings.Join(known, ","))
		}
	}
	return chosen, nil
}

// scripts is the folder of the Python scripts in the checkout.
func scripts() (string, error) {
	for _, dir := range []string{"bench", "."} {
		if _, err := os.Stat(filepath.Join(dir, "torch_resnet.py")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("bench/torch_resnet.py is not here: run this in the folder of the checkout, as go run ./bench")
}

// build compiles the program as it is meant to be used, without cgo.
func build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "residual")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/residual-ml/residual/cmd/residual")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/residual: %v\n%s", err, out)
	}
	return program, nil
}

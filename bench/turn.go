package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// command returns the command line of c for a job, and a folder to remove afterwards.
func (m *machine) command(c contender, j job) (args []string, dir string, err error) {
	n := strconv.Itoa
	if j.Mode == "weights" || j.Mode == "predict" {
		return m.loading(c, j), "", nil
	}
	if j.Mode == "epoch" {
		shared := []string{"--epochs", n(max(j.Epochs, 1)), "--batch", n(j.Batch), "--resize", n(j.Size), "--threads", n(m.threads),
			"--train-size", n(j.Train), "--test-size", n(j.Test), "--precision", c.Precision}
		if c.Program == residual {
			if dir, err = os.MkdirTemp("", "residual-bench-run"); err != nil {
				return nil, "", err
			}
			args = append([]string{m.program, "train", "--json", "--plain", "--offline", "--out", dir}, shared...)
			if m.dataDir != "" {
				args = append(args, "--data-dir", m.dataDir)
			}
			return m.on(args), dir, nil
		}
		args = append([]string{m.python, filepath.Join(m.scripts, "torch_recipe.py"), "--data", m.images, "--layout", c.Layout}, shared...)
	} else if j.Mode == "load" {
		shared := []string{"--photos", m.photos, "--warmup", n(j.Warmup), "--repeat", n(j.Repeat)}
		if c.Program == residual {
			return append([]string{m.program, "bench", "--json", "--mode", "load", "--resize", n(j.Size)}, shared...), "", nil
		}
		return append([]string{m.python, filepath.Join(m.scripts, "torch_decode.py"), "--size", n(j.Size)}, shared...), "", nil
	} else {
		shared := []string{"--batch", n(j.Batch), "--threads", n(m.threads), "--warmup", n(j.Warmup), "--repeat", n(j.Repeat)}
		if j.Model != "" {
			shared = append(shared, "--model", j.Model)
		}
		switch c.Program {
		case residual:
			args = append([]string{m.program, "bench", "--json", "--mode", j.Mode, "--resize", n(j.Size), "--precision", c.Precision}, shared...)
			switch c.Feed {
			case "":
			case feedNone:
				args = append(args, "--feed", c.Feed)
			case "photos":
				args = append(args, "--feed", c.Feed, "--photos", m.photos)
			default:
				args = append(args, "--feed", c.Feed, "--data", m.data)
				if m.dataDir != "" {
					args = append(args, "--data-dir", m.dataDir)
				}
			}
		case torch:
			args = append([]string{m.python, filepath.Join(m.scripts, "torch_resnet.py"), "--mode", j.Mode, "--size", n(j.Size),
				"--precision", c.Precision, "--layout", c.Layout}, shared...)
		default:
			args = append(m.exported(c, j), shared...)
		}
	}
	if c.Compile {
		args = append(args, "--compile")
	}
	if c.CompileMode != "" {
		args = append(args, "--compile-mode", c.CompileMode)
	}
	if c.Capture {
		args = append(args, "--capture")
	}
	return m.on(args), dir, nil
}

// on adds the device to a command line; without it all programs compute on the CPU.
func (m *machine) on(args []string) []string {
	if m.gpu() {
		return append(args, "--device", m.device)
	}
	return args
}

// take runs one turn of c.
func (m *machine) take(ctx context.Context, c contender, j job) (turn, error) {
	var t turn
	args, dir, err := m.command(c, j)
	if err != nil {
		return t, err
	}
	if dir != "" {
		defer os.RemoveAll(dir)
	}
	if err := m.quantise(ctx, c, j); err != nil {
		return t, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "OMP_NUM_THREADS="+strconv.Itoa(m.threads))
	cmd.WaitDelay = 10 * time.Second // a compiler that PyTorch started may keep the pipes open
	began := time.Now()
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return t, ctx.Err()
		}
		return t, &failure{strings.Join(args, " "), err, stderr.String()}
	}
	if j.Mode == "predict" { // its output is the prediction
		t.Seconds = time.Since(began).Seconds()
		fmt.Fprintf(m.log, "%s, %s: %.0f ms\n", j.what(), c.name(), 1e3*t.Seconds)
		return t, nil
	}
	if err := t.read(stdout.Bytes()); err != nil {
		return t, fmt.Errorf("%s printed what is no result: %v\n%s", args[0], err, stdout.Bytes())
	}
	if j.Mode == "epoch" && c.Program == residual {
		t.Threads, t.Precision, t.PeakRSSBytes = t.Settings.Threads, t.Settings.Precision, t.PeakMemoryBytes
	}
	if j.Mode == "weights" {
		return t, m.loaded(&t, c, j)
	}
	if !(t.ImagesPerSecond > 0) || j.Mode == "epoch" && !(t.Seconds > 0) {
		return t, fmt.Errorf("%s printed no images_per_second:\n%s", args[0], stdout.Bytes())
	}
	threads := m.threads
	if j.Mode == "load" {
		threads = 1
	}
	if t.Threads != threads && !m.gpu() {
		return t, fmt.Errorf("%s ran on %d threads when asked for %d: the two cannot be compared", c.name(), t.Threads, threads)
	}
	fmt.Fprintf(m.log, "%s, %s: %.1f images/s\n", j.what(), c.name(), t.ImagesPerSecond)
	return t, nil
}

// read parses the output of a turn: one line of JSON, or one line per epoch, whose times
// are added up.
func (t *turn) read(printed []byte) error {
	in, total := json.NewDecoder(bytes.NewReader(printed)), 0.0
	for n := 0; ; n++ {
		err := in.Decode(t)
		if errors.Is(err, io.EOF) && n > 0 {
			t.Seconds = total
			return nil
		}
		if err != nil {
			return err
		}
		total += t.Seconds
	}
}

// reason returns the last line that a failed program printed, for a table.
func reason(err error) string {
	var f *failure
	if !errors.As(err, &f) {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(f.stderr), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if last == "" {
		last = f.err.Error()
	}
	const longest = 160
	if r := []rune(last); len(r) > longest {
		last = string(r[:longest]) + "..."
	}
	return last
}

// findPython returns an interpreter with PyTorch: $PYTHON if it is set, or else the first
// suitable one of those that a system usually offers.
func findPython(ctx context.Context) (string, error) {
	candidates := []string{"python3", "/usr/bin/python3", "python"}
	if chosen := os.Getenv("PYTHON"); chosen != "" {
		candidates = []string{chosen}
	}
	for _, python := range candidates {
		if exec.CommandContext(ctx, python, "-c", "import torch").Run() == nil {
			return python, nil
		}
	}
	return "", fmt.Errorf(`PyTorch was not found with %s.
Install it with "apt install python3-torch" or "pip install torch",
or set PYTHON to an interpreter that has it: PYTHON=/path/to/python3 go run ./bench`, strings.Join(candidates, ", "))
}

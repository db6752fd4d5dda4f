package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// A turn is what one run of one program reports, in the JSON both print.
type turn struct {
	ImagesPerSecond float64 `json:"images_per_second"` // the median of the turn
	PeakRSSBytes    int64   `json:"peak_rss_bytes"`    // of the whole process; 0 where the system does not tell
	Threads         int     `json:"threads"`
	Kernels         string  `json:"kernels"` // Residual only
	Torch           string  `json:"torch"`   // PyTorch only
}

// A contender is one program in one setting.
type contender struct {
	layout string // of PyTorch; "" is Residual
}

func (c contender) name() string {
	if c.layout == "" {
		return "Residual"
	}
	return "PyTorch " + c.layout
}

// machine runs the programs.
type machine struct {
	settings
	python, script string
	program        string
	log            io.Writer // a line for each turn
}

// take runs one turn of c.
func (m *machine) take(ctx context.Context, c contender, mode string, batch, warmup, repeat int) (turn, error) {
	args := []string{"--mode", mode, "--batch", strconv.Itoa(batch), "--threads", strconv.Itoa(m.threads),
		"--warmup", strconv.Itoa(warmup), "--repeat", strconv.Itoa(repeat)}
	name := m.program
	if c.layout == "" {
		args = append([]string{"bench", "--json", "--precision", "fp32", "--resize", strconv.Itoa(m.size)}, args...)
	} else {
		name = m.python
		args = append([]string{m.script, "--layout", c.layout, "--size", strconv.Itoa(m.size)}, args...)
	}
	var t turn
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "OMP_NUM_THREADS="+strconv.Itoa(m.threads))
	if err := cmd.Run(); err != nil {
		return t, fmt.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	if err := json.Unmarshal(stdout.Bytes(), &t); err != nil {
		return t, fmt.Errorf("%s printed what is no result: %v\n%s", name, err, stdout.Bytes())
	}
	if !(t.ImagesPerSecond > 0) {
		return t, fmt.Errorf("%s printed no images_per_second:\n%s", name, stdout.Bytes())
	}
	if t.Threads != m.threads {
		return t, fmt.Errorf("%s ran on %d threads when asked for %d: the two cannot be compared", c.name(), t.Threads, m.threads)
	}
	fmt.Fprintf(m.log, "%s, batch %d, %s: %.1f images/s\n", mode, batch, c.name(), t.ImagesPerSecond)
	return t, nil
}

// findPython returns an interpreter that has PyTorch: $PYTHON if it is set,
// else the first that has it of those a system usually offers.
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

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// weightsFile returns a path of a file that the rows about loading share: the same weights
// for both programs, a model file with them, and a photo.
func (m *machine) weightsFile(suffix string) string {
	return filepath.Join(m.weights, resnet50.model+"."+suffix)
}
func (m *machine) modelFile() string { return filepath.Join(m.weights, "model.safetensors") }
func (m *machine) photo() string     { return filepath.Join(m.weights, "photo.jpg") }

// loading returns the command line of a turn of these rows.
func (m *machine) loading(c contender, j job) []string {
	threads := []string{"--threads", strconv.Itoa(m.threads)}
	measured := append(threads, "--warmup", strconv.Itoa(j.Warmup), "--repeat", strconv.Itoa(j.Repeat))
	script := filepath.Join(m.scripts, "torch_load.py")
	switch {
	case j.Mode == "weights" && c.Program == residual:
		return append([]string{m.program, "bench", "--json", "--mode", "weights", "--model", j.Model, "--weights", m.weightsFile("safetensors")}, measured...)
	case j.Mode == "weights":
		return append([]string{m.python, script, m.weightsFile("pth")}, measured...)
	case c.Program == residual:
		return append([]string{m.program, "predict", m.modelFile(), m.photo(), "--json"}, threads...)
	}
	return append([]string{m.python, script, m.weightsFile("pth"), "--image", m.photo()}, threads...)
}

// loaded checks the output of such a turn.
func (m *machine) loaded(t *turn, c contender, j job) error {
	if !(t.LoadMilliseconds > 0) {
		return fmt.Errorf("%s printed no load_milliseconds", c.name())
	}
	if t.Threads != m.threads {
		return fmt.Errorf("%s ran on %d threads when asked for %d: the two cannot be compared", c.name(), t.Threads, m.threads)
	}
	t.Seconds = t.LoadMilliseconds / 1e3
	fmt.Fprintf(m.log, "%s, %s: %.1f ms\n", j.what(), c.name(), t.LoadMilliseconds)
	return nil
}

// drawWeights lets torchvision generate resnet50's weights, once per run of the benchmark,
// and writes the other files beside them.
func (m *machine) drawWeights(ctx context.Context) error {
	if _, err := os.Stat(m.photo()); err == nil {
		return nil
	}
	for _, args := range [][]string{
		{m.python, filepath.Join(m.scripts, "torch_load.py"), m.weightsFile("pth"), "--write", m.weightsFile("safetensors")},
		{m.program, "import", m.weightsFile("safetensors"), "-o", m.modelFile()},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return &failure{args[0] + " " + args[1], err, string(out)}
		}
	}
	photos, err := filepath.Glob(filepath.Join(m.photos, "*", "*.jpg"))
	if err == nil && len(photos) == 0 {
		err = fmt.Errorf("no photo in %s", m.photos)
	}
	if err != nil {
		return err
	}
	photo, err := os.ReadFile(photos[0])
	if err != nil {
		return err
	}
	return os.WriteFile(m.photo(), photo, 0o666)
}

package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// The files of a run folder that hold weights: the model of the best epoch, the model of the
// last one, and the state that a training goes on from.
const (
	BestFile  = "best.safetensors"
	LastFile  = "last.safetensors"
	StateFile = "state.safetensors"
)

// Last stands for the newest run in place of a path.
const Last = "last"

// modelsOfRuns lists the models that runs leave in their folders, the one to use first. A net
// that grew and was then trained has its model in a run folder of its own, and a growth on a
// schedule has a run folder for each of at most mostSteps steps.
var modelsOfRuns = []string{BestFile, "pruned.safetensors", filepath.Join("train", LastFile), "grown.safetensors", LastFile}

const mostSteps = 64

// FindModel returns the model file that path stands for: of a run folder its best model, or
// that of the last epoch where no epoch was tested; of Last the model of the newest run in the
// folder runs, and of a path that ends in Last that of the newest run in the folder before it,
// where there is no such file. Any other path is returned as it is: whoever opens it reports
// what is wrong with it. A file that is called last is ./last.
func FindModel(path string) (string, error) {
	if root, ok := ofLast(path); ok {
		_, model, err := newest(root, func(dir string) string { return modelIn(dir) })
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		return model, nil
	}
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		return path, nil
	}
	if model := modelIn(path); model != "" {
		return model, nil
	}
	if isFile(filepath.Join(path, settingsFile)) {
		return "", fmt.Errorf("%s: the run has no model yet; residual train writes one at the end of the first epoch", path)
	}
	return path, nil
}

// FindRun returns the folder of the run that path stands for: of Last the newest run in the
// folder runs, of a path that ends in Last the newest run in the folder before it, and path
// itself else.
func FindRun(path string) (string, error) {
	root, ok := ofLast(path)
	if !ok {
		return path, nil
	}
	dir, _, err := newest(root, func(dir string) string {
		if file := filepath.Join(dir, settingsFile); isFile(file) {
			return file
		}
		return ""
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return dir, nil
}

// ofLast returns the folder whose newest run path stands for, if it stands for one.
func ofLast(path string) (root string, ok bool) {
	if path == Last {
		return defaultRoot, true
	}
	if filepath.Base(path) != Last || path == "."+string(filepath.Separator)+Last || path == "./"+Last {
		return "", false
	}
	if _, err := os.Lstat(path); err == nil {
		return "", false
	}
	return filepath.Dir(path), true
}

// newest returns the folder in root whose file is the youngest, and that file. file returns ""
// for a folder that does not count.
func newest(root string, file func(dir string) string) (dir, youngest string, err error) {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	var at time.Time
	for _, e := range entries {
		d := filepath.Join(root, e.Name())
		f := file(d)
		if f == "" {
			continue
		}
		if st, err := os.Stat(f); err == nil && (dir == "" || st.ModTime().After(at)) {
			dir, youngest, at = d, f, st.ModTime()
		}
	}
	if dir == "" {
		return "", "", fmt.Errorf("no run in the folder %s has what is asked for; train one with residual train, or give a path", root)
	}
	return dir, youngest, nil
}

// modelIn returns the model to use of those in a run folder; "" where there is none.
func modelIn(dir string) string {
	for _, name := range modelsOfRuns {
		if file := filepath.Join(dir, name); isFile(file) {
			return file
		}
	}
	for step := mostSteps; step > 0; step-- {
		if file := filepath.Join(dir, "step-"+strconv.Itoa(step), BestFile); isFile(file) {
			return file
		}
	}
	return ""
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

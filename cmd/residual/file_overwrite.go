package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/onnx"
)

// target is a file that a command is about to write.
type target struct {
	flag   string
	path   string
	format weights.Format
}

// mayWrite returns an error if a target is a file that the command reads, also by another
// name, if two flags name one file, or if a file of another format would be replaced. force
// allows all but the second. What is not a regular file is never replaced.
func mayWrite(targets []target, inputs []string, force bool) error {
	var written []target
	for _, t := range targets {
		if t.path == "" {
			continue
		}
		for _, w := range written {
			if sameFile(t.path, w.path) {
				return usagef("--%s and --%s name one file, %s; give each a name of its own", w.flag, t.flag, t.path)
			}
		}
		written = append(written, t)
		if err := regular.Replaceable(t.path); err != nil {
			return usagef("--%s: %w; it is left as it is, give the name of a file", t.flag, err)
		}
		for _, in := range inputs {
			if !force && sameFile(t.path, in) {
				return usagef("--%s %s is the file that is read, %s, and would be replaced; give another name, or --force", t.flag, t.path, in)
			}
		}
		if st, err := os.Stat(t.path); err != nil || force || !st.Mode().IsRegular() || st.Size() == 0 {
			continue // what cannot be written is said when it is
		}
		if format, err := weights.Detect(t.path); err != nil || format != t.format {
			return usagef("--%s %s is there already and no .%s file; give another name, or --force to replace it", t.flag, t.path, t.format)
		}
	}
	return nil
}

// sameFile reports whether two paths are the same file, also through links. If neither exists
// yet, it compares the paths.
func sameFile(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(x, y)
	}
	if !errors.Is(errA, fs.ErrNotExist) || !errors.Is(errB, fs.ErrNotExist) {
		return false
	}
	full, err := filepath.Abs(a)
	other, wrong := filepath.Abs(b)
	return err == nil && wrong == nil && full == other
}

// filesOf lists the file at path and the files beside it that hold its weights.
func filesOf(path string) []string {
	all := []string{path}
	if format, err := weights.Detect(path); err == nil && format == weights.ONNX {
		names, _ := onnx.Beside(path)
		for _, name := range names {
			all = append(all, filepath.Join(filepath.Dir(path), name))
		}
	}
	return all
}

// forceUsage is the help of --force.
const forceUsage = "replace the file that is read, or one of another kind"

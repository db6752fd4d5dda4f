// Package study runs experiments on what residual networks are claimed to do: plain
// nets get worse with depth and residual ones do not (Depth), a block can be added
// without changing the function (Grow, Growth), and blocks can be left out with
// little loss (Blocks, Prune). A study writes its settings, its table as CSV and
// JSON and its figure as PNG and SVG into a numbered run folder, and resumes there
// after it was interrupted or killed.
//
// Every study is a pair of New and Open, for a new folder and for one to resume,
// with a Run:
//
//	s, err := study.NewBlocks(ctx, device, study.BlocksConfig{Source: study.Source{Model: "best.safetensors"}}, study.BlocksCallbacks{})
//	// ...
//	result, err := s.Run(ctx, device, study.BlocksCallbacks{})
//	// ...
//	fmt.Println(result.Findings)
package study

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/report"
)

// Value is a number that may be unknown: NaN, which is null in JSON and empty in a CSV file.
type Value = number.Float

func known(v Value) bool { return number.Finite(float64(v)) }

// cell returns the shortest text that parses back to v, or none where v is unknown.
func cell(v Value) string {
	if !known(v) {
		return ""
	}
	return strconv.FormatFloat(float64(v), 'g', -1, 64)
}

// Spread summarises a number over several seeds.
type Spread struct {
	Mean Value `json:"mean"`
	Min  Value `json:"min"`
	Max  Value `json:"max"`
}

// spreadOf summarises the known values and leaves out the others.
func spreadOf(values []Value) Spread {
	s, n := Spread{0, Value(math.Inf(1)), Value(math.Inf(-1))}, 0
	for _, v := range values {
		if known(v) {
			s.Mean, s.Min, s.Max, n = s.Mean+v, min(s.Min, v), max(s.Max, v), n+1
		}
	}
	if n == 0 {
		nan := Value(math.NaN())
		return Spread{nan, nan, nan}
	}
	s.Mean /= Value(n)
	return s
}

// settings is the content of a study's settings.yaml; Study says which study C configures.
type settings[C any] struct {
	Study    string `yaml:"study"`
	Config   C      `yaml:",inline"`
	Residual string `yaml:"residual_version"`
	Go       string `yaml:"go_version"`
}

// newFolder creates the next folder of a study under root and writes its settings.
func newFolder[C any](root, study string, c C) (*checkpoint.Run, error) {
	folder, err := checkpoint.NewRun(root, study)
	if err != nil {
		return nil, err
	}
	residual, goVersion := checkpoint.Versions()
	if err := folder.WriteSettings(settings[C]{study, c, residual, goVersion}); err != nil {
		os.Remove(folder.Dir) // the first error is the one to report
		return nil, err
	}
	return folder, nil
}

// discard removes the folder of a study that never started.
func discard(folder *checkpoint.Run) {
	os.Remove(folder.Path("settings.yaml")) // the first error is the one to report
	os.Remove(folder.Dir)                   // only when empty
}

// openFolder opens a study's folder and reads its settings.
func openFolder[C any](dir, study string) (*checkpoint.Run, C, error) {
	var s settings[C]
	dir, err := checkpoint.FindRun(dir)
	if err != nil {
		return nil, s.Config, err
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, s.Config, fmt.Errorf("the study cannot be opened: %w; give its folder, such as runs/%s-1", err, study)
	case !info.IsDir():
		return nil, s.Config, fmt.Errorf("%s is no folder; give that of a study, such as runs/%s-1", dir, study)
	}
	folder := &checkpoint.Run{Dir: filepath.Clean(dir)}
	if _, err := os.Stat(folder.Path("settings.yaml")); errors.Is(err, fs.ErrNotExist) {
		return nil, s.Config, fmt.Errorf("%s is no folder of a study, for it has no settings.yaml; give one such as runs/%s-1", dir, study)
	}
	var kind struct {
		Study string `yaml:"study"`
	}
	if err := folder.PickSettings(&kind); err != nil {
		return nil, s.Config, err
	}
	if kind.Study != study {
		return nil, s.Config, fmt.Errorf("%s is not of this study: it has no settings of a %s; give a folder such as runs/%[2]s-1", dir, study)
	}
	if err := folder.ReadSettings(&s); err != nil {
		return nil, s.Config, err
	}
	return folder, s.Config, folder.Sweep()
}

// writeCSV replaces a file by a table. Cells are strings, integers and Values.
func writeCSV(path string, head []string, rows [][]any) error {
	return checkpoint.WriteFile(path, func(w io.Writer) error {
		c := csv.NewWriter(w)
		if err := c.Write(head); err != nil {
			return err
		}
		for _, row := range rows {
			cells := make([]string, len(row))
			for i, v := range row {
				cells[i] = fmt.Sprint(v)
				if n, ok := v.(Value); ok {
					cells[i] = cell(n)
				}
			}
			if err := c.Write(cells); err != nil {
				return err
			}
		}
		c.Flush()
		return c.Error()
	})
}

// writeJSON replaces a file by v as JSON.
func writeJSON(path string, v any) error {
	return checkpoint.WriteFile(path, func(w io.Writer) error {
		return number.Write(w, v, "  ")
	})
}

// writeFigure writes the figure as NAME.png and NAME.svg.
func writeFigure(folder *checkpoint.Run, name string, f report.Figure) error {
	return errors.Join(
		checkpoint.WriteFile(folder.Path(name+".png"), f.WritePNG),
		checkpoint.WriteFile(folder.Path(name+".svg"), f.WriteSVG),
	)
}

// percent formats a fraction as a percentage.
func percent(v Value) string {
	if !known(v) {
		return "unknown"
	}
	return strconv.FormatFloat(100*float64(v), 'f', 1, 64) + " %"
}

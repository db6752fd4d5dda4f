package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/residual-ml/residual/internal/regular"
)

// CutMetrics drops the end of a run's metrics: the first row that keep rejects, and all
// rows after it. It passes each row to keep, in order, read as by MetricsRows; rows after the
// first rejected one are not read. The files are replaced atomically; after a crash between
// them the next call finishes the work. Without files it does nothing. Call it before Metrics.
func CutMetrics[T any](r *Run, empty T, keep func(row T) bool) error {
	table, objects := r.Path(metricsTable), r.Path(metricsRows)
	rows, err := linesOf(objects)
	if err != nil {
		return err
	}
	cells, err := linesOf(table)
	if err != nil {
		return err
	}
	n := 0
	for ; n < len(rows); n++ {
		row, err := readRow(objects, n, rows[n], empty)
		if err != nil {
			return fmt.Errorf("%w, or move it and %s away", err, metricsTable)
		}
		if !keep(row) {
			break
		}
	}
	if len(cells) > 0 && len(cells)-1 < n || len(cells) == 0 && n > 0 { // the first line has the column names
		return fmt.Errorf("%s has %d rows where %s has %d; put back a copy of the file, or move both away",
			table, max(len(cells)-1, 0), metricsRows, n)
	}
	if err := cutFile(objects, rows, n); err != nil {
		return err
	}
	return cutFile(table, cells, n+1)
}

// linesOf returns the complete lines of a file, or none where the file does not exist.
func linesOf(path string) ([][]byte, error) {
	text, err := regular.ReadFile(path, mostMetrics)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the metrics of the run cannot be read: %w; check its permissions", err)
	}
	return completeLines(text), nil
}

// cutFile keeps the first n lines and drops the others, including an incomplete last one.
func cutFile(path string, lines [][]byte, n int) error {
	remaining := bytes.Join(lines[:min(n, len(lines))], nil)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == int64(len(remaining)) {
		return nil
	}
	return WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(remaining)
		return err
	})
}

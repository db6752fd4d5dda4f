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
// rows after it. It passes each row to keep as JSON, in order. The files are replaced
// atomically; after a crash between them the next call finishes the work. Without files
// it does nothing. Call it before Metrics.
func (r *Run) CutMetrics(keep func(row []byte) (bool, error)) error {
	table, objects := r.Path("metrics.csv"), r.Path("metrics.jsonl")
	rows, err := completeLines(objects)
	if err != nil {
		return err
	}
	cells, err := completeLines(table)
	if err != nil {
		return err
	}
	n := 0
	for ; n < len(rows); n++ {
		ok, err := keep(rows[n])
		if err != nil {
			return fmt.Errorf("%s, line %d: %w; put back a copy of the file, or move it and metrics.csv away", objects, n+1, err)
		}
		if !ok {
			break
		}
	}
	if len(cells) > 0 && len(cells)-1 < n || len(cells) == 0 && n > 0 { // the first line has the column names
		return fmt.Errorf("%s has %d rows where metrics.jsonl has %d; put back a copy of the file, or move both away",
			table, max(len(cells)-1, 0), n)
	}
	if err := cutFile(objects, rows, n); err != nil {
		return err
	}
	return cutFile(table, cells, n+1)
}

// completeLines returns a file's lines with their line ends, without an incomplete last line.
// It returns none if the file does not exist.
func completeLines(path string) ([][]byte, error) {
	text, err := regular.ReadFile(path, maxMetricsBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the metrics of the run cannot be read: %w; check its permissions", err)
	}
	lines := bytes.SplitAfter(text, []byte{'\n'})
	return lines[:len(lines)-1], nil
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

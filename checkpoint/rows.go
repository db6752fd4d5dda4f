package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/internal/regular"
)

// Number is a float64 that JSON can hold whatever its value: NaN is null, and the infinities
// are the strings "+Inf" and "-Inf". Reading also takes the string "NaN", which metrics files
// of earlier versions have.
type Number = number.Float

// MetricsRows reads the rows of the run's metrics.jsonl into values of type T, by its json
// tags, also of a run in progress: an incomplete last line is left out. Every row starts as a
// copy of empty, which says what a missing value is; fields that may hold NaN are Numbers. For
// a run without the file the error wraps fs.ErrNotExist.
func MetricsRows[T any](r *Run, empty T) ([]T, error) {
	return ReadRows(r.Path(metricsRows), empty)
}

// ReadRows is MetricsRows for a file of any name that has one JSON object a line.
func ReadRows[T any](path string, empty T) (rows []T, err error) {
	text, err := regular.ReadFile(path, mostMetrics)
	if err != nil {
		return nil, fmt.Errorf("the metrics of the run cannot be read: %w", err)
	}
	for i, line := range completeLines(text) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		row, err := readRow(path, i, line, empty)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// readRow reads line i, from 0, of a file of rows.
func readRow[T any](path string, i int, line []byte, empty T) (T, error) {
	row := empty
	if err := json.Unmarshal(line, &row); err != nil {
		return row, fmt.Errorf("%s, line %d: %w; put back a copy of the file", path, i+1, err)
	}
	return row, nil
}

// completeLines returns the lines of a file with their line ends, without an incomplete last
// line.
func completeLines(text []byte) [][]byte {
	lines := bytes.SplitAfter(text, []byte{'\n'})
	return lines[:len(lines)-1]
}

// The files of a run's metrics, and the largest size of one in bytes.
const (
	metricsTable = "metrics.csv"
	metricsRows  = "metrics.jsonl"
	mostMetrics  = 1 << 30
)

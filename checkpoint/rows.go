package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/internal/regular"
)

// Number is a float64 that JSON can hold whatever its value: NaN and the infinities are the
// strings NaN, +Inf and -Inf, as in metrics files. Reading null gives NaN.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return appendNumber(nil, v, 64), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(text []byte) error {
	*n = Number(math.NaN())
	if string(text) == "null" {
		return nil
	}
	v, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
	if err != nil {
		return fmt.Errorf("%s is not a number", text)
	}
	*n = Number(v)
	return nil
}

// MetricsRows reads the rows of the run's metrics.jsonl into values of type T, by its json
// tags, also of a run in progress: an incomplete last line is left out. Every row starts as a
// copy of empty, which says what a missing value is; fields that may hold NaN are Numbers. For
// a run without the file the error wraps fs.ErrNotExist.
func MetricsRows[T any](r *Run, empty T) (rows []T, err error) {
	path := r.Path("metrics.jsonl")
	text, err := regular.ReadFile(path, maxMetricsBytes)
	if err != nil {
		return nil, fmt.Errorf("the metrics of the run cannot be read: %w", err)
	}
	complete := text[:bytes.LastIndexByte(text, '\n')+1]
	for i, line := range bytes.Split(complete, []byte{'\n'}) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		row := empty
		if err := json.Unmarshal(line, &row); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w; put back a copy of the file", path, i+1, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

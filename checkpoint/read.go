package checkpoint

import (
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/residual-ml/residual/internal/regular"
)

// History is the metrics of a run, read by ReadMetrics.
type History struct {
	columns []string
	rows    [][]string
}

// maxMetricsBytes is the largest size of a metrics file in bytes.
const maxMetricsBytes = 1 << 30

// ReadMetrics reads metrics.csv, also of a run in progress: an incomplete last line is left
// out. For a run without the file the error wraps fs.ErrNotExist.
func (r *Run) ReadMetrics() (*History, error) {
	path := r.Path("metrics.csv")
	text, err := regular.ReadFile(path, maxMetricsBytes)
	if err != nil {
		return nil, fmt.Errorf("the metrics of the run cannot be read: %w", err)
	}
	complete := string(text[:strings.LastIndexByte(string(text), '\n')+1])
	rows, err := csv.NewReader(strings.NewReader(complete)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; put back a copy of it", path, err)
	}
	if len(rows) == 0 {
		return &History{}, nil
	}
	return &History{rows[0], rows[1:]}, nil
}

// Column returns the values of a column, with NaN for rows without a value. It returns nil if
// the run has no such column, or no value in it.
func (h *History) Column(name string) []float64 {
	at := slices.Index(h.columns, name)
	if at < 0 {
		return nil
	}
	out, some := make([]float64, len(h.rows)), false
	for i, row := range h.rows {
		v, err := strconv.ParseFloat(row[at], 64)
		if err != nil {
			v = math.NaN()
		}
		out[i], some = v, some || err == nil
	}
	if !some {
		return nil
	}
	return out
}

// Setting is one line of settings.yaml.
type Setting struct{ Name, Value string }

// ListSettings returns the settings of a run as text, in the order of settings.yaml.
func (r *Run) ListSettings() ([]Setting, error) {
	var top yaml.Node
	if err := r.PickSettings(&top); err != nil {
		return nil, err
	}
	var out []Setting
	for _, doc := range top.Content {
		for i := 0; i+1 < len(doc.Content); i += 2 {
			out = append(out, Setting{doc.Content[i].Value, plain(doc.Content[i+1])})
		}
	}
	return out, nil
}

// plain formats a YAML value in one line.
func plain(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	var parts []string
	for i := 0; i < len(n.Content); i++ {
		part := plain(n.Content[i])
		if n.Kind == yaml.MappingNode && i+1 < len(n.Content) {
			i++
			part += " " + plain(n.Content[i])
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

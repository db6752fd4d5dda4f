package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/report"
)

// The two views of a profile.
const (
	profileKinds = "kinds"
	profileSteps = "steps"
)

// stepRow is the time of one step of a program.
type stepRow struct {
	Kind         string  `json:"kind"`
	What         string  `json:"what"`         // what it reads and makes
	Milliseconds float64 `json:"milliseconds"` // the median
	Least        float64 `json:"least_milliseconds"`
	GFLOP        float64 `json:"gflop,omitempty"` // of plain sums, padding included
	WeightBytes  int64   `json:"weight_bytes,omitempty"`
}

// profileRow sums the steps of a kind.
type profileRow struct {
	Kind         string  `json:"kind"`
	Steps        int     `json:"steps"`
	Milliseconds float64 `json:"milliseconds"`
	Share        float64 `json:"share"`
}

// profile times each step in a number of runs that takes about a second.
func (w *workload) profile() []stepRow {
	const least, most, budget = 5, 100, time.Second
	var runs [][]time.Duration
	for start := time.Now(); len(runs) < least || len(runs) < most && time.Since(start) < budget; {
		runs = append(runs, w.Profile())
	}
	var rows []stepRow
	took := make([]float64, len(runs))
	for i, s := range w.Steps() {
		for r := range runs {
			took[r] = runs[r][i].Seconds() * 1e3
		}
		row := describeStep(s)
		row.Milliseconds, row.Least = median(took), slices.Min(took)
		rows = append(rows, row)
	}
	return rows
}

// describeStep says what a step reads and makes, and how much it multiplies.
func describeStep(s engine.Step) stepRow {
	row := stepRow{Kind: strings.TrimPrefix(fmt.Sprintf("%T", s), "*engine.")}
	window := func(w engine.Window, x, y, weight *engine.Value) {
		row.What = fmt.Sprintf("%v to %v, %dx%d", x.Shape, y.Shape, w.KH, w.KW)
		if w.StrideH > 1 || w.StrideW > 1 {
			row.What += fmt.Sprintf(" stride %d", max(w.StrideH, w.StrideW))
		}
		if w.Groups > 1 {
			row.What += fmt.Sprintf(" in %d groups", w.Groups)
		}
		row.WeightBytes = int64(weight.Numel() * weight.DType.Size())
		row.GFLOP = 2e-9 * float64(weight.Numel()) * float64(y.Numel()/max(1, y.Shape[1]))
	}
	switch s := s.(type) {
	case *engine.Conv:
		window(s.Window, s.X, s.Y, s.W)
	case *engine.ConvGradInput:
		window(s.Window, s.DX, s.DY, s.W)
	case *engine.ConvGradWeight:
		window(s.Window, s.X, s.DY, s.DW)
	case *engine.Compute:
		row.Kind = strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", s.Op), "*"), "graph.")
		row.What = fmt.Sprint(s.Out.Shape)
	default:
		if w := s.Writes(); len(w) > 0 {
			row.What = fmt.Sprint(w[0].Shape)
		}
	}
	return row
}

// byKind sums the time of the steps by kind, most first.
func byKind(steps []stepRow) []profileRow {
	kinds := map[string]*profileRow{}
	total := 0.0
	for _, s := range steps {
		row := kinds[s.Kind]
		if row == nil {
			row = &profileRow{Kind: s.Kind}
			kinds[s.Kind] = row
		}
		row.Steps++
		row.Milliseconds += s.Milliseconds
		total += s.Milliseconds
	}
	var rows []profileRow
	for _, row := range kinds {
		row.Share = row.Milliseconds / total
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b profileRow) int {
		return cmp.Or(cmp.Compare(b.Milliseconds, a.Milliseconds), strings.Compare(a.Kind, b.Kind))
	})
	return rows
}

func profileText(rows []profileRow) string {
	t := report.NewTable(report.Column{Title: "kind of step"}, report.Column{Title: "steps", Align: report.Right},
		report.Column{Title: "ms", Align: report.Right}, report.Column{Title: "share", Align: report.Right})
	var sum float64
	steps := 0
	for _, r := range rows {
		t.Row(r.Kind, fmt.Sprint(r.Steps), fmt.Sprintf("%.3f", r.Milliseconds), fmt.Sprintf("%.1f %%", 100*r.Share))
		sum += r.Milliseconds
		steps += r.Steps
	}
	t.Rule()
	t.Row("all", fmt.Sprint(steps), fmt.Sprintf("%.3f", sum), "")
	return t.String()
}

// stepsText shows every step in its order. Rates are of the median.
func stepsText(rows []stepRow) string {
	right := func(title string) report.Column { return report.Column{Title: title, Align: report.Right} }
	t := report.NewTable(report.Column{Title: "step"}, report.Column{Title: "what"}, right("ms"), right("least"), right("GFLOP/s"), right("weights GB/s"))
	var sum, least float64
	for _, r := range rows {
		speed, stream := "", ""
		if r.GFLOP > 0 && r.Milliseconds > 0 {
			speed = fmt.Sprintf("%.1f", r.GFLOP/r.Milliseconds*1e3)
			stream = fmt.Sprintf("%.1f", float64(r.WeightBytes)/r.Milliseconds*1e-6)
		}
		t.Row(r.Kind, r.What, fmt.Sprintf("%.3f", r.Milliseconds), fmt.Sprintf("%.3f", r.Least), speed, stream)
		sum += r.Milliseconds
		least += r.Least
	}
	t.Rule()
	t.Row("all", "", fmt.Sprintf("%.3f", sum), fmt.Sprintf("%.3f", least), "", "")
	return t.String()
}

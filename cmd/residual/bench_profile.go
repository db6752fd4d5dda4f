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
	Bytes        int64   `json:"bytes"`                        // all operands read once, all results written once
	Floor        float64 `json:"floor_milliseconds,omitempty"` // by the result's peaks
}

// profileRow sums the steps of a kind.
type profileRow struct {
	Kind         string  `json:"kind"`
	Steps        int     `json:"steps"`
	Milliseconds float64 `json:"milliseconds"`
	Share        float64 `json:"share"`
	GFLOP        float64 `json:"gflop,omitempty"`
	Bytes        int64   `json:"bytes"`
	Floor        float64 `json:"floor_milliseconds,omitempty"`
}

// profile times each step in a number of runs that takes about a second, and then the
// optimiser's pass, which has no step of its own in a program.
func (w *workload) profile(rows []stepRow) {
	const least, most, budget = 5, 100, time.Second
	var runs [][]time.Duration
	for start := time.Now(); len(runs) < least || len(runs) < most && time.Since(start) < budget; {
		runs = append(runs, w.Profile())
	}
	took := make([]float64, len(runs))
	for i := range w.Steps() {
		for r := range runs {
			took[r] = runs[r][i].Seconds() * 1e3
		}
		rows[i].Milliseconds, rows[i].Least = median(took), slices.Min(took)
	}
	if !w.train {
		return
	}
	took = took[:least]
	for r := range took {
		const passes = 8 // for one look at the result
		start := time.Now()
		for range passes {
			w.Step(w.optimizer, benchRate)
		}
		w.Read(w.out, w.result) // waits
		took[r] = time.Since(start).Seconds() * 1e3 / passes
	}
	last := &rows[len(rows)-1]
	last.Milliseconds, last.Least = median(took), slices.Min(took)
}

// describeStep says what a step reads and makes, and how much it multiplies.
func describeStep(s engine.Step) stepRow {
	row := stepRow{Kind: strings.TrimPrefix(fmt.Sprintf("%T", s), "*engine."), Bytes: stepBytes(s)}
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
		row.GFLOP += s.GFLOP
		row.Bytes += s.Bytes
		row.Floor += s.Floor
		total += s.Milliseconds
	}
	var rows []profileRow
	for _, row := range kinds {
		if total > 0 { // not where nothing ran
			row.Share = row.Milliseconds / total
		}
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b profileRow) int {
		return cmp.Or(cmp.Compare(b.Milliseconds, a.Milliseconds), cmp.Compare(b.Floor, a.Floor), cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Kind, b.Kind))
	})
	return rows
}

func right(title string) report.Column { return report.Column{Title: title, Align: report.Right} }

// figure writes a number, and nothing for none.
func figure(format string, v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}

func profileText(rows []profileRow) string {
	t := report.NewTable(report.Column{Title: "kind of step"}, right("steps"), right("ms"), right("share"), right("GFLOP"), right("MB"), right("floor ms"))
	all := profileRow{Kind: "all"}
	for _, r := range rows {
		t.Row(r.Kind, fmt.Sprint(r.Steps), figure("%.3f", r.Milliseconds), figure("%.1f %%", 100*r.Share), figure("%.2f", r.GFLOP), megabytes(r.Bytes), figure("%.3f", r.Floor))
		all.Steps += r.Steps
		all.Milliseconds += r.Milliseconds
		all.GFLOP += r.GFLOP
		all.Bytes += r.Bytes
		all.Floor += r.Floor
	}
	t.Rule()
	t.Row(all.Kind, fmt.Sprint(all.Steps), figure("%.3f", all.Milliseconds), "", figure("%.2f", all.GFLOP), megabytes(all.Bytes), figure("%.3f", all.Floor))
	return t.String()
}

func megabytes(n int64) string { return fmt.Sprintf("%.2f", float64(n)/1e6) }

// stepsText shows every step in its order. Rates are of the median.
func stepsText(rows []stepRow) string {
	t := report.NewTable(report.Column{Title: "step"}, report.Column{Title: "what"}, right("ms"), right("least"), right("floor ms"),
		right("MB"), right("GB/s"), right("GFLOP/s"), right("weights GB/s"))
	all := stepRow{Kind: "all"}
	for _, r := range rows {
		var moved, speed, stream float64
		if r.Milliseconds > 0 {
			moved, speed, stream = float64(r.Bytes)/r.Milliseconds*1e-6, r.GFLOP/r.Milliseconds*1e3, float64(r.WeightBytes)/r.Milliseconds*1e-6
		}
		t.Row(r.Kind, r.What, figure("%.3f", r.Milliseconds), figure("%.3f", r.Least), figure("%.3f", r.Floor),
			megabytes(r.Bytes), figure("%.1f", moved), figure("%.1f", speed), figure("%.1f", stream))
		all.Milliseconds += r.Milliseconds
		all.Least += r.Least
		all.Floor += r.Floor
		all.Bytes += r.Bytes
	}
	t.Rule()
	t.Row(all.Kind, "", figure("%.3f", all.Milliseconds), figure("%.3f", all.Least), figure("%.3f", all.Floor), megabytes(all.Bytes), "", "", "")
	return t.String()
}

package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/residual-ml/residual/report"
)

// DepthRow is a line of the table: a net at the end of its training, over its seeds.
// A training that diverged counts with the error of guessing.
type DepthRow struct {
	Kind          string `json:"kind"`
	Depth         int    `json:"depth"`
	Seeds         int    `json:"seeds"` // trainings that are complete
	Diverged      int    `json:"diverged"`
	TrainLoss     Spread `json:"train_loss"`
	TrainError    Spread `json:"train_error"`
	TestLoss      Spread `json:"test_loss"`
	TestError     Spread `json:"test_error"`
	FirstGradient Spread `json:"first_gradient_norm"` // in the first epoch
	LastGradient  Spread `json:"last_gradient_norm"`
}

// DepthResult is what a study has found so far.
type DepthResult struct {
	Dir      string      `json:"-"`
	Config   DepthConfig `json:"settings"`
	Rows     []DepthRow  `json:"table"`
	Runs     []DepthRun  `json:"runs"`
	Findings []string    `json:"findings"` // one sentence per kind
}

// guessing is the error of random answers among ten classes.
const guessing = Value(0.9)

// result collects the trainings from their folders.
func (d *Depth) result() (DepthResult, error) {
	r := DepthResult{Dir: d.Dir, Config: d.Config}
	for _, n := range d.Config.nets() {
		run, ok, err := d.read(n)
		if err != nil {
			return r, err
		}
		if ok {
			r.Runs = append(r.Runs, run)
		}
	}
	for _, kind := range d.Config.Kinds {
		for _, depth := range d.Config.Depths {
			if row := r.row(kind, depth); row.Seeds > 0 {
				r.Rows = append(r.Rows, row)
			}
		}
		if f := r.finding(kind); f != "" {
			r.Findings = append(r.Findings, f)
		}
	}
	return r, nil
}

// row summarises the complete trainings of a net over its seeds.
func (r *DepthResult) row(kind string, depth int) DepthRow {
	row := DepthRow{Kind: kind, Depth: depth}
	var loss, errs, testLoss, testErrs, first, last []Value
	for _, run := range r.Runs {
		if run.Kind != kind || run.Depth != depth || len(run.Epochs) < r.Config.Train.Epochs && !run.Diverged {
			continue
		}
		row.Seeds++
		if run.Diverged {
			row.Diverged++
			errs, testErrs = append(errs, guessing), append(testErrs, guessing)
			continue
		}
		a, z := run.Epochs[0], run.Epochs[len(run.Epochs)-1]
		loss, errs = append(loss, z.TrainLoss), append(errs, z.TrainError)
		testLoss, testErrs = append(testLoss, z.TestLoss), append(testErrs, z.TestError)
		first, last = append(first, a.GradientNorm), append(last, z.GradientNorm)
	}
	row.TrainLoss, row.TrainError = spreadOf(loss), spreadOf(errs)
	row.TestLoss, row.TestError = spreadOf(testLoss), spreadOf(testErrs)
	row.FirstGradient, row.LastGradient = spreadOf(first), spreadOf(last)
	return row
}

// finding compares the deepest net of a kind with the shallower net that has the lowest
// training error.
func (r *DepthResult) finding(kind string) string {
	var best, deep *DepthRow
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Kind == kind && (deep == nil || row.Depth > deep.Depth) {
			deep = row
		}
	}
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Kind == kind && row != deep && (best == nil || row.TrainError.Mean < best.TrainError.Mean) {
			best = row
		}
	}
	if best == nil {
		return ""
	}
	verdict := "depth makes no difference beyond that between the seeds"
	switch {
	case deep.TrainError.Min > best.TrainError.Max:
		verdict = "more depth makes the training error rise"
	case deep.TrainError.Max < best.TrainError.Min:
		verdict = "more depth makes the training error fall"
	}
	if deep.Seeds < 2 || best.Seeds < 2 {
		verdict += ", as far as one seed can tell"
	}
	return fmt.Sprintf("%s: training error %s at %d layers, the best of those less deep, and %s at %d: %s",
		kind, percent(best.TrainError.Mean), best.Depth, percent(deep.TrainError.Mean), deep.Depth, verdict)
}

// write writes the tables and the figure of the results so far.
func (d *Depth) write() (DepthResult, error) {
	r, err := d.result()
	if err != nil {
		return r, err
	}
	head := []string{"kind", "depth", "seeds", "diverged"}
	for _, name := range []string{"train_loss", "train_error", "test_loss", "test_error", "first_gradient_norm", "last_gradient_norm"} {
		head = append(head, name+"_mean", name+"_min", name+"_max")
	}
	var rows, epochs [][]any
	for _, w := range r.Rows {
		row := []any{w.Kind, w.Depth, w.Seeds, w.Diverged}
		for _, s := range []Spread{w.TrainLoss, w.TrainError, w.TestLoss, w.TestError, w.FirstGradient, w.LastGradient} {
			row = append(row, s.Mean, s.Min, s.Max)
		}
		rows = append(rows, row)
	}
	for _, run := range r.Runs {
		for _, e := range run.Epochs {
			epochs = append(epochs, []any{run.Kind, run.Depth, run.Seed, e.Epoch, e.TrainLoss, e.TrainError, e.TestLoss, e.TestError, e.GradientNorm})
		}
	}
	if err := writeCSV(d.folder.Path("table.csv"), head, rows); err != nil {
		return r, err
	}
	if err := writeCSV(d.folder.Path("epochs.csv"),
		[]string{"kind", "depth", "seed", "epoch", "train_loss", "train_error", "test_loss", "test_error", "gradient_norm"}, epochs); err != nil {
		return r, err
	}
	if err := writeJSON(d.folder.Path("table.json"), r); err != nil {
		return r, err
	}
	return r, writeFigure(d.folder, "depth", r.Figure())
}

// Figure corresponds to figure 6 of He et al. 2015: the errors of each kind against
// epochs, and below them against depth, with the gradient of the first layer.
func (r DepthResult) Figure() report.Figure {
	var top []report.Panel
	for _, kind := range r.Config.Kinds {
		top = append(top, r.againstEpochs(kind))
	}
	sameRange(top)
	top = append(top, r.gradients())
	perCent := func(v Value) float64 { return 100 * float64(v) }
	plain := func(v Value) float64 { return float64(v) }
	return report.Figure{Rows: [][]report.Panel{top, {
		r.againstDepth("training error at the end", "error (%)", perCent, false, func(w DepthRow) Spread { return w.TrainError }),
		r.againstDepth("test error at the end", "error (%)", perCent, false, func(w DepthRow) Spread { return w.TestError }),
		r.againstDepth("gradient of the first layer, first epoch", "norm", plain, true, func(w DepthRow) Spread { return w.FirstGradient }),
	}}}
}

// sameRange gives panels the same y axis, so that they can be compared.
func sameRange(panels []report.Panel) {
	all := [2]float64{math.Inf(1), math.Inf(-1)}
	for _, p := range panels {
		for _, l := range p.Lines {
			for _, ys := range [][]float64{l.Low, l.High, ordinates(l.Points)} {
				for _, y := range ys {
					if !math.IsNaN(y) {
						all[0], all[1] = min(all[0], y), max(all[1], y)
					}
				}
			}
		}
	}
	if all[0] >= all[1] {
		return
	}
	margin := 0.05 * (all[1] - all[0])
	all[0], all[1] = max(0, all[0]-margin), all[1]+margin
	for i := range panels {
		panels[i].YRange = &all
	}
}

func ordinates(points []report.Point) (ys []float64) {
	for _, p := range points {
		ys = append(ys, p.Y)
	}
	return ys
}

// gradients shows the gradient norm in the deepest net of each kind, against epochs.
func (r DepthResult) gradients() report.Panel {
	deepest := slices.Max(r.Config.Depths)
	p := report.Panel{Title: fmt.Sprintf("gradient of the first layer, %d layers", deepest), X: "epoch", Y: "norm", LogY: true}
	for i, kind := range r.Config.Kinds {
		l := report.Line{Name: kind, Color: i}
		for epoch := range r.Config.Train.Epochs {
			s := r.over(kind, deepest, epoch, func(e Epoch) Value { return e.GradientNorm })
			l.Points = append(l.Points, report.Point{X: float64(epoch + 1), Y: float64(s.Mean)})
			l.Low, l.High = append(l.Low, float64(s.Min)), append(l.High, float64(s.Max))
		}
		p.Lines = append(p.Lines, l)
	}
	return p
}

// over summarises a value of one epoch, counted from 0, over the seeds.
func (r DepthResult) over(kind string, depth, epoch int, of func(Epoch) Value) Spread {
	var values []Value
	for _, run := range r.Runs {
		if run.Kind == kind && run.Depth == depth && epoch < len(run.Epochs) {
			values = append(values, of(run.Epochs[epoch]))
		}
	}
	return spreadOf(values)
}

// againstEpochs shows one kind: training errors dashed, test errors solid, the mean over
// the seeds and, for the test errors, the range.
func (r DepthResult) againstEpochs(kind string) report.Panel {
	p := report.Panel{Title: kind + " nets: test error (training error dashed)", X: "epoch", Y: "error (%)"}
	for i, depth := range r.Config.Depths {
		test := report.Line{Name: strconv.Itoa(depth) + " layers", Color: i}
		train := report.Line{Color: i, Dashed: true}
		for epoch := range r.Config.Train.Epochs {
			x := float64(epoch + 1)
			a := r.over(kind, depth, epoch, func(e Epoch) Value { return e.TrainError })
			b := r.over(kind, depth, epoch, func(e Epoch) Value { return e.TestError })
			train.Points = append(train.Points, report.Point{X: x, Y: 100 * float64(a.Mean)})
			test.Points = append(test.Points, report.Point{X: x, Y: 100 * float64(b.Mean)})
			test.Low, test.High = append(test.Low, 100*float64(b.Min)), append(test.High, 100*float64(b.Max))
		}
		p.Lines = append(p.Lines, train, test)
	}
	return p
}

func (r DepthResult) againstDepth(title, unit string, scale func(Value) float64, log bool, of func(DepthRow) Spread) report.Panel {
	p := report.Panel{Title: title, X: "layers", Y: unit, LogY: log, Ticks: []report.Tick{}}
	for _, depth := range r.Config.Depths {
		p.Ticks = append(p.Ticks, report.Tick{Value: float64(depth), Label: strconv.Itoa(depth)})
	}
	for i, kind := range r.Config.Kinds {
		l := report.Line{Name: kind, Color: i, Marks: true}
		for _, w := range r.Rows {
			if w.Kind == kind {
				s := of(w)
				l.Points = append(l.Points, report.Point{X: float64(w.Depth), Y: scale(s.Mean)})
				l.Low, l.High = append(l.Low, scale(s.Min)), append(l.High, scale(s.Max))
			}
		}
		p.Lines = append(p.Lines, l)
	}
	return p
}

package judge

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/report/page"
)

// Source says where the figures of a report come from.
type Source struct {
	Model   string      // the model's file; the curves and settings in its run folder are shown, too
	Data    string      // the name or path of the data set that the user gave; empty means the data set's own name
	Part    string      // part of the data set: test or train
	Made    time.Time   // when it was measured
	Machine []page.Fact // facts about the machine that measured
}

// Report makes the page: it reads the images of the mistakes and explains each by Grad-CAM
// for the predicted class. What is missing from the run's folder, or cannot be read, is
// left out with a note. It returns ctx's error when ctx ends.
func (j *Judgement) Report(ctx context.Context, s Source) (*page.Report, error) {
	version, goVersion := checkpoint.Versions()
	about := j.model.Info()
	p := &page.Report{
		Model: about.Architecture, File: s.Model, Data: cmp.Or(s.Data, j.data.Info().Name), Part: s.Part, Made: s.Made,
		Classes: j.Classes, Confusion: j.Confusion, AmongFive: j.AmongFive, Loss: j.Loss, Calibration: j.Calibration, Version: version,
	}
	p.Measures = j.Measures()
	if t := about.Temperature; j.Fitted != nil && j.Fitted.All().Count > 0 {
		p.Tempered = &page.Tempered{Temperature: t[0], Before: j.Raw.ExpectedError(), After: j.Fitted.ExpectedError(), Used: j.model.IsCalibrated()}
	}
	var err error
	if p.Mistakes, p.Note, err = j.mistakes(ctx); err != nil {
		return nil, err
	}
	p.Facts = append(p.Facts, page.Facts{Title: "Model", Rows: facts(about, nn.Count(j.model.Module()))})
	run := &checkpoint.Run{Dir: filepath.Dir(s.Model)}
	if settings, err := run.ListSettings(); err == nil {
		rows := make([]page.Fact, len(settings))
		for i, line := range settings {
			rows[i] = page.Fact{Name: strings.ReplaceAll(line.Name, "_", " "), Value: line.Value}
		}
		if p.Curves, err = curves(run); err != nil && !errors.Is(err, fs.ErrNotExist) {
			rows = append(rows, page.Fact{Name: "curves", Value: err.Error()})
		}
		p.Facts = append(p.Facts, page.Facts{Title: "Training", Rows: rows})
	} else if _, there := os.Stat(run.Path("settings.yaml")); there == nil {
		p.Facts = append(p.Facts, page.Facts{Title: "Training", Rows: []page.Fact{{Name: "settings", Value: err.Error()}}})
	}
	machine := append([]page.Fact(nil), s.Machine...)
	machine = append(machine,
		page.Fact{Name: "speed", Value: fmt.Sprintf("%s images/s", report.Count(int64(j.ImagesPerSecond)))},
		page.Fact{Name: "Residual", Value: version}, page.Fact{Name: "Go", Value: goVersion})
	p.Facts = append(p.Facts, page.Facts{Title: "Measured on", Rows: machine})
	return p, nil
}

// facts lists what a model file says about itself.
func facts(m checkpoint.Model, parameters int64) []page.Fact {
	var rows []page.Fact
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, page.Fact{Name: name, Value: value})
		}
	}
	add("architecture", m.Architecture)
	if len(m.Blocks) > 0 {
		add("blocks", strings.Trim(fmt.Sprint(m.Blocks), "[]"))
	}
	add("parameters", report.Count(parameters))
	add(string(m.Task.Named()), report.Count(int64(len(m.Names()))))
	size := "of any size"
	if m.Height > 0 {
		size = fmt.Sprintf("%d × %d", m.Height, m.Width)
	}
	add("input", fmt.Sprintf("%s, %s", size, map[int]string{1: "grey", 3: "colour"}[m.Channels]))
	add("prepared", m.Preparation())
	add("trained on", m.Dataset)
	if m.Epoch > 0 {
		add("epochs trained", fmt.Sprint(m.Epoch))
	}
	add("written by", strings.TrimSpace("Residual "+m.Residual+", "+m.Go))
	return rows
}

// curves reads the curves of a run from its metrics.
func curves(run *checkpoint.Run) ([]report.Panel, error) {
	type row struct {
		Epoch     checkpoint.Number
		TrainLoss checkpoint.Number `json:"train_loss"`
		TrainAcc  checkpoint.Number `json:"train_acc"`
		TestLoss  checkpoint.Number `json:"test_loss"`
		TestAcc   checkpoint.Number `json:"test_acc"`
		LR        checkpoint.Number
		GradNorm  checkpoint.Number `json:"grad_norm"`

		MAP, R2, MAE, IoU checkpoint.Number
	}
	nan := checkpoint.Number(math.NaN())
	rows, err := checkpoint.MetricsRows(run, row{nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan})
	if err != nil {
		return nil, err
	}
	line := func(name string, color int, of func(row) checkpoint.Number) []report.Line {
		l := report.Line{Name: name, Color: color, Marks: name == "test"} // of which there is one point per epoch
		for _, r := range rows {
			if x, y := float64(r.Epoch), float64(of(r)); !math.IsNaN(x) && !math.IsNaN(y) {
				l.Points = append(l.Points, report.Point{X: x, Y: y})
			}
		}
		if l.Points == nil {
			return nil
		}
		return []report.Line{l}
	}
	var out []report.Panel
	for _, p := range []report.Panel{
		{Title: "Loss", X: "epoch", FromZero: true, Lines: append(
			line("train", 0, func(r row) checkpoint.Number { return r.TrainLoss }),
			line("test", 1, func(r row) checkpoint.Number { return r.TestLoss })...)},
		{Title: "Accuracy", X: "epoch", Lines: append(
			line("train", 0, func(r row) checkpoint.Number { return r.TrainAcc }),
			line("test", 1, func(r row) checkpoint.Number { return r.TestAcc })...)},
		{Title: "Mean average precision", X: "epoch", Lines: line("test", 1, func(r row) checkpoint.Number { return r.MAP })},
		{Title: "R²", X: "epoch", Lines: line("test", 1, func(r row) checkpoint.Number { return r.R2 })},
		{Title: "Mean absolute error", X: "epoch", FromZero: true,
			Lines: line("test", 1, func(r row) checkpoint.Number { return r.MAE })},
		{Title: "Mean IoU", X: "epoch", Lines: line("test", 1, func(r row) checkpoint.Number { return r.IoU })},
		{Title: "Learning rate", X: "epoch", FromZero: true,
			Lines: line("learning rate", 2, func(r row) checkpoint.Number { return r.LR })},
		{Title: "Gradient norm of the first layer", X: "epoch", FromZero: true,
			Lines: line("gradient norm", 3, func(r row) checkpoint.Number { return r.GradNorm })},
	} {
		if len(p.Lines) > 0 && !(p.Title == "Learning rate" && steady(p.Lines[0].Points)) {
			out = append(out, p)
		}
	}
	return out, nil
}

// steady reports whether all values of a curve are equal.
func steady(points []report.Point) bool {
	for _, p := range points {
		if p.Y != points[0].Y {
			return false
		}
	}
	return true
}

// DefaultPath returns the default path of a model's report, in the model's folder. It is
// report.html for a run's best model on the test part of its training data; otherwise the
// name contains the model's file, the data set and the part. own is the data set that the
// model was trained on.
func DefaultPath(model, own, data, part string) string {
	dir, name := filepath.Split(model)
	words := []string{"report"}
	if stem := strings.TrimSuffix(name, filepath.Ext(name)); stem != "best" {
		words = append(words, stem)
	}
	if data != own {
		words = append(words, strings.Map(plainName, filepath.Base(data)))
	}
	if part != "test" {
		words = append(words, part)
	}
	return filepath.Join(dir, strings.Join(words, "-")+".html")
}

// plainName replaces characters that are not safe in file names everywhere.
func plainName(r rune) rune {
	if strings.ContainsRune(`/\:*?"<>|`, r) || r < ' ' {
		return '_'
	}
	return r
}

// Replaceable returns an error unless path is free or holds a report that may be
// overwritten.
func Replaceable(path string) error {
	f, err := regular.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return field.Errorf("report: %w; name another file ({Report}), or write no report ({NoReport})", err)
	}
	defer f.Close()
	head, _ := io.ReadAll(io.LimitReader(f, 1024)) // reading a folder fails; then head is empty and it is not a report
	if !page.IsReport(bytes.NewReader(head)) {
		return field.Errorf("report: %s exists and is not a report of Residual; name another file ({Report}), or write no report ({NoReport})", path)
	}
	return nil
}

// Write writes a report completely or not at all. It overwrites nothing but a report.
func Write(path string, p *page.Report) error {
	if err := Replaceable(path); err != nil {
		return err
	}
	return checkpoint.WriteFile(path, func(w io.Writer) error { return page.Write(w, p) })
}

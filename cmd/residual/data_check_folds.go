package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/judge/audit"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train"
)

// mostFolds is the largest number of folds, each of which is a training.
const mostFolds = 20

// foldTests is how many images of a fold are measured on after every epoch of its training. All
// are judged at its end, so these only show how it goes.
const foldTests = 64

// folds judges every image by a model that was not trained on it: it trains once for each fold
// of the images, with the settings of a run, on the other folds.
type folds struct {
	path    string        // the folder or list
	x       *folder.Index // its images that can be read
	of      []int         // the fold of each
	count   int
	config  train.Config // of the run
	device  *deviceFlags
	pixels  int64 // of --max-pixels
	dev     engine.Device
	w       io.Writer // of what goes on
	lines   *seldom
	scratch string // folder of the trainings
	begun   time.Time
	took    []time.Duration // of the folds that are done
}

// inFolds returns what such models make of the images at path, and the names of their classes.
// checked are the images with their groups of near-duplicates, and broken those that cannot be read.
func (f *checkFlags) inFolds(ctx context.Context, cmd *cobra.Command, path string, checked *folder.Index, groups []int, broken []folder.Problem, dev engine.Device) (all []audit.Opinion, classes []string, err error) {
	run, err := train.OpenRun(f.run)
	if err != nil {
		return nil, nil, fmt.Errorf("--folds: %w", err)
	}
	if len(run.Config.OwnParts) > 0 {
		return nil, nil, fmt.Errorf("--folds: the run %s is of a program with a training of its own, which only that program can repeat", f.run)
	}
	j := &folds{path: path, count: f.folds, config: run.Config, device: &f.device, pixels: f.pixels, dev: dev, w: cmd.ErrOrStderr(), begun: time.Now()}
	j.lines = newSeldom(report.IsTerminal(j.w), time.Now)
	j.take(checked, groups, broken)
	if j.scratch, err = os.MkdirTemp("", "residual-folds-"); err != nil {
		return nil, nil, fmt.Errorf("--folds: %w", err)
	}
	defer os.RemoveAll(j.scratch)
	for k := range j.count {
		some, names, err := j.judge(ctx, cmd, k)
		if err != nil {
			return nil, nil, err
		}
		all, classes = append(all, some...), names
		j.took = append(j.took, time.Since(j.begun))
	}
	return all, classes, nil
}

// take divides the images that can be read, and says of which classes there are too few.
func (j *folds) take(checked *folder.Index, groups []int, broken []folder.Problem) {
	x := *checked
	x.Items = nil
	var of []int
	for i, it := range checked.Items {
		if !slices.ContainsFunc(broken, func(p folder.Problem) bool { return p.Name == it.Name }) {
			x.Items, of = append(x.Items, it), append(of, groups[i])
		}
	}
	j.x, j.of = &x, x.Folds(j.count, j.config.HoldoutSeed, of)
	for i, fold := range j.of {
		if fold < 0 {
			fmt.Fprintf(j.w, "not judged, since no other image is of its class: %s\n", x.Items[i].Name)
		}
	}
}

// judge trains without fold k and asks the model about it.
func (j *folds) judge(ctx context.Context, cmd *cobra.Command, k int) ([]audit.Opinion, []string, error) {
	list := filepath.Join(j.scratch, "images.csv")
	if err := checkpoint.WriteFile(list, func(w io.Writer) error { return j.list(w, k) }); err != nil {
		return nil, nil, err
	}
	c := j.config
	c.Data, c.Out, c.TestSize, c.Patience, c.Forecast, c.Threads = list, j.scratch, foldTests, 0, &train.Forecast{}, threadsOf(j.dev)
	if c.Cache != train.CacheOff {
		c.Cache = filepath.Join(j.scratch, "decoded")
	}
	if j.pixels > 0 {
		c.MaxPixels = j.pixels
	}
	dir := filepath.Join(j.scratch, fmt.Sprint("fold-", k+1))
	s, err := train.RunIn(ctx, j.dev, dir, c, train.Callbacks{
		OnStart: func(s train.Start) { j.start(k, s) }, OnEpoch: func(e train.Epoch) { j.epoch(k, e) },
	})
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted: not all folds were judged")
		}
		return nil, nil, fmt.Errorf("--folds: fold %d of %d: %w", k+1, j.count, err)
	}
	m, err := inference.Load(s.Last, j.dev, j.device.on(j.dev)) // the best epoch was chosen by images of the fold
	if err != nil {
		return nil, nil, err
	}
	defer m.Close()
	fold := map[string]bool{}
	for i, it := range j.x.Items {
		fold[it.Name] = j.of[i] == k
	}
	all, err := audit.Ask(ctx, m, j.path, audit.Options{
		Only: func(name string) bool { return fold[name] }, Folder: folder.Options{MaxPixels: j.pixels}, Progress: showCount(j.w),
	})
	return all, m.Info().Classes, errors.Join(err, os.RemoveAll(dir))
}

// list writes the images as a list whose test part is fold k.
func (j *folds) list(w io.Writer, k int) error {
	rows := [][]string{{"path", "label", "split"}}
	for i, it := range j.x.Items {
		path, err := filepath.Abs(it.Path)
		if err != nil {
			return err
		}
		part := data.Train
		if j.of[i] == k {
			part = data.Test
		}
		rows = append(rows, []string{path, j.x.Classes[it.Label], string(part)})
	}
	return csv.NewWriter(w).WriteAll(rows)
}

// start says what the training of a fold is, and how long all will take: by the trial steps of
// the first, and by the folds that are done.
func (j *folds) start(k int, s train.Start) {
	held := 0
	for _, fold := range j.of {
		if fold == k {
			held++
		}
	}
	line := fmt.Sprintf("fold %d of %d: %s epochs on %s, to judge %s", k+1, j.count, report.Count(int64(s.Config.Epochs)), plural(s.Images, "image"), plural(held, "other"))
	switch n := len(j.took); {
	case n > 0:
		line += fmt.Sprintf("; about %s to go", report.Duration(time.Duration(float64(j.took[n-1])/float64(n)*float64(j.count-n))))
	case s.Estimate != nil:
		line += fmt.Sprintf("; estimated from %s: %s a fold, %s in all", plural(s.Estimate.Steps, "trial step"), report.Duration(s.Estimate.Total), report.Duration(time.Duration(j.count)*s.Estimate.Total))
	}
	fmt.Fprintln(direct(j.w), line)
}

// epoch says how far the training of a fold is, at most once a minute where that is no terminal.
func (j *folds) epoch(k int, e train.Epoch) {
	if j.lines.due() {
		fmt.Fprintf(direct(j.w), "fold %d of %d, epoch %d: train loss %.3f, %s so far\n", k+1, j.count, e.Epoch, e.Loss, report.Duration(time.Since(j.begun)))
	}
}

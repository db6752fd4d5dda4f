package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train"
)

// trainView shows the progress and the result of a training.
type trainView struct {
	cmd      *cobra.Command
	flags    *trainFlags
	device   string    // one line
	w        io.Writer // of what goes on: standard error
	out      io.Writer // of the result: standard output, and standard error beside JSON
	curves   *report.Curves
	progress atomic.Pointer[report.Progress] // nil before the start
	begun    train.Start                     // what was known before the first step
	dir      string
	report   *string            // the file of the report, where one was written
	reported string             // one line of it, or of why there is none
	cache    *folder.ImageCache // of decoded images, where there is one
	noted    int                // of its notes that were shown
	failed   bool               // the pictures could not be written, and that was said
	rates    []report.Point     // the learning rate by epoch
	best     [][]int            // the confusion matrix of the best epoch since now; nil without one
	pictures []string           // the files of pictures that were written

	last     []string           // the last epoch's measures as text, of tasks other than classes
	measured map[string]float64 // and by their columns
}

func newTrainView(cmd *cobra.Command, f *trainFlags, device string) *trainView {
	v := &trainView{cmd: cmd, flags: f, device: device, w: cmd.ErrOrStderr(), out: cmd.OutOrStdout()}
	if f.json {
		v.out = v.w
	}
	if f.ahead.dryRun { // of which what would be done is the result
		v.w = v.out
	}
	return v
}

func (v *trainView) callbacks() train.Callbacks {
	return train.Callbacks{
		OnData:  showDownloads(v.cmd.ErrOrStderr()),
		OnStart: v.start,
		OnBatch: func(s train.BatchEvent) {
			v.progress.Load().Batch(report.BatchInfo{Epoch: s.Epoch, Batch: s.Batch, Loss: s.Loss, Acc: s.Accuracy, ImagesPerSecond: s.ImagesPerSecond})
		},
		OnPoint: func(p train.Point) {
			v.curves.Add(report.TrainLoss, p.X, p.Loss)
			v.curves.Add(report.TrainAcc, p.X, p.Accuracy)
			v.rates = append(v.rates, report.Point{X: p.X, Y: float64(p.LR)})
		},
		OnEpoch: func(e train.Epoch) {
			v.curves.Add(report.TestAcc, float64(e.Epoch), e.TestAccuracy)
			v.progress.Load().EpochEnd(report.EpochInfo{
				Epoch: e.Epoch, TrainLoss: e.Loss, TrainAcc: e.Accuracy, TestAcc: e.TestAccuracy,
				ImagesPerSecond: e.ImagesPerSecond, Elapsed: e.Elapsed, More: v.learnt(e),
			})
			if e.Best && e.Confusion != nil {
				v.best = e.Confusion
			}
			v.draw()
			v.notes()
		},
	}
}

// start prints the data and the settings of the training, defaults included.
func (v *trainView) start(s train.Start) {
	c := s.Config
	if s.Photos != nil {
		say(v.w, "%s%s\n%s", found(s.Photos, v.flags.ahead.dryRun), heldOut(s.Photos, c), cacheNote(s.Photos))
		if v.cache = s.Photos.Cache; v.cache != nil {
			v.noted = len(v.cache.State().Notes)
		}
	}
	say(v.w, "%s, %s parameters, on %s: %s images to train, %s to test, %dx%d\n",
		models.Title(c.Model, c.Blocks), report.Count(s.Parameters), dataName(s), report.Count(int64(s.Images)), report.Count(int64(s.Tests)), c.Resize, c.Resize)
	optimizer := c.Optimizer
	if c.Momentum != 0 {
		optimizer += fmt.Sprintf(", momentum %v", c.Momentum)
	}
	if c.WeightDecay != 0 {
		optimizer += fmt.Sprintf(", weight decay %v", c.WeightDecay)
	}
	say(v.w, "epochs %d of %d batches of %d%s%s, %s, lr %v (%s), weights %s, seed %d\n",
		c.Epochs, s.Batches, c.Batch, shared(s.Shared), passes(c.Repeat), optimizer, c.LR, c.Schedule, c.Init, c.Seed)
	if line := preparation(c); line != "" {
		say(v.w, "%s\n", line)
	}
	for _, line := range s.Chosen {
		say(v.w, "%s\n", line)
	}
	if s.Photos != nil {
		say(v.w, "%s%s", sizedFor(c.Resize, s.Photos.SizedFor), chosenFor(s.Photos.ChosenFor))
	}
	if line := optimisation(c); line != "" {
		say(v.w, "%s\n", line)
	}
	say(v.w, "%s", startedFrom(s))
	for _, change := range s.Changes {
		say(v.w, "%s\n", change)
	}
	say(v.w, "%s", taught(c))
	say(v.w, "%s; %s of memory planned%s\n", v.device, report.Bytes(s.PlannedBytes), recomputing(c.Recompute))
	if s.Estimate != nil {
		say(v.w, "%s\n", estimated(s.Estimate))
		if needs, has := s.Estimate.Memory.Total, c.Forecast.Memory; has > 0 && needs > has {
			say(v.w, "that is more memory than the %s that are free: a smaller --batch or --resize, or --recompute, needs less\n", report.Bytes(has))
		}
	}
	if v.begun = s; v.flags.ahead.dryRun {
		if s.Past != nil {
			say(v.w, "goes on after epoch %d\n", s.Past.Epochs)
		}
		return
	}
	say(v.w, "%s\n", s.Dir)
	v.dir = s.Dir
	v.curves = newCurves(s)
	v.past(s.Past)
	v.firstBatch(s)
	say(v.w, "\n")
	v.progress.Store(report.NewProgress(direct(v.w), report.ProgressOptions{
		Plain: v.flags.plain, Epochs: c.Epochs, BatchesPerEpoch: s.Batches, Curves: v.curves,
	}))
}

// notes shows new problems of the cache of decoded images.
func (v *trainView) notes() {
	if v.cache == nil {
		return
	}
	all := v.cache.State().Notes
	for _, note := range all[v.noted:] {
		v.progress.Load().Note(note)
	}
	v.noted = len(all)
}

// past shows the epochs that a resumed run has completed.
func (v *trainView) past(p *train.Past) {
	if p == nil {
		return
	}
	say(v.w, "goes on after epoch %d, the last that was completed: what came after its step %d is trained again\n", p.Epochs, p.Steps)
	for _, point := range p.Points {
		v.curves.Add(report.TrainLoss, point.X, point.Loss)
		v.curves.Add(report.TrainAcc, point.X, point.Accuracy)
		v.rates = append(v.rates, report.Point{X: point.X, Y: float64(point.LR)})
	}
	for _, e := range p.Tests {
		v.curves.Add(report.TestAcc, float64(e.Epoch), e.TestAccuracy)
	}
}

// interrupted is called at the first Ctrl-C, while the training goes on. It ends the display and
// so restores the terminal, because a second Ctrl-C leaves no time for that.
func (v *trainView) interrupted() {
	doing := "stopping before the first step"
	if p := v.progress.Load(); p != nil {
		p.Close()
		doing = "finishing the step and saving"
	}
	fmt.Fprintln(v.cmd.ErrOrStderr(), doing+"; Ctrl-C again quits at once")
}

// close draws the curves a last time and ends the display.
func (v *trainView) close() {
	if p := v.progress.Load(); p != nil {
		v.draw()
		v.lastPictures()
		p.Close()
	}
}

// sizedFor says why a size of images was chosen, which have shorter sides with the median side;
// "" if it was given.
func sizedFor(size, side int) string {
	if side == 0 {
		return ""
	}
	why := "the recipe has no larger size for so many images"
	if side <= size {
		why = "larger ones would show nothing more"
	}
	return fmt.Sprintf("%dx%d, since the shorter sides of the images are %d pixels in the median, and %s\n", size, size, side, why)
}

// chosenFor says that settings were chosen by the number of images; "" if they were not.
func chosenFor(images int) string {
	if images == 0 {
		return ""
	}
	return fmt.Sprintf("chosen for %s images to train on; what you give in place of it wins (`residual train --help`)\n", report.Count(int64(images)))
}

// trainResult is what train --json prints. Figures that were not measured are null.
type trainResult struct {
	Model           string             `json:"model"`
	Data            string             `json:"data"`
	Loss            float64            `json:"loss"`
	TrainAccuracy   float64            `json:"train_accuracy"`
	TestAccuracy    float64            `json:"test_accuracy"`
	Untested        []string           `json:"untested_classes,omitempty"` // which that accuracy is not of
	Task            string             `json:"task"`
	Measures        map[string]float64 `json:"measures,omitempty"` // of the last epoch's test, of tasks other than classes
	BestAccuracy    float64            `json:"best_accuracy"`
	BestScore       float64            `json:"best_score"` // by the metric of the settings
	BestEpoch       int                `json:"best_epoch"`
	Early           bool               `json:"ended_early"` // by the patience of the settings
	Epochs          int                `json:"epochs"`      // completed
	Steps           int                `json:"steps"`
	ImagesPerSecond float64            `json:"images_per_second"`
	Device          string             `json:"device"`
	Seconds         float64            `json:"seconds"`
	PlannedBytes    int64              `json:"planned_memory_bytes"`
	PeakBytes       *int64             `json:"peak_memory_bytes"`
	Dir             string             `json:"dir"`
	Best            string             `json:"best"`
	Last            string             `json:"last"`
	State           *string            `json:"state"`   // what --resume goes on from; null before the end of an epoch
	Report          *string            `json:"report"`  // null where none was written
	Stopped         bool               `json:"stopped"` // by Ctrl-C
	Settings        train.Config       `json:"settings"`
	Estimate        *foreseen          `json:"estimate"` // before the start; null where nothing was measured
}

// untested returns the classes without test images.
func (v *trainView) untested() []string {
	if v.begun.Photos == nil {
		return nil
	}
	return v.begun.Photos.Untested
}

func (v *trainView) json(s train.Summary) error {
	r := trainResult{
		Model: s.Config.Model, Data: s.Config.Data, Loss: s.Loss, TrainAccuracy: v.accuracy(s),
		TestAccuracy: s.TestAccuracy, BestAccuracy: s.BestAccuracy, BestScore: s.BestScore, Early: s.Early, BestEpoch: s.BestEpoch,
		Epochs: s.Epochs, Steps: s.Steps, ImagesPerSecond: s.ImagesPerSecond, Device: v.device, Seconds: s.Elapsed.Seconds(),
		PlannedBytes: s.PlannedBytes, Dir: s.Dir, Best: s.Best, Last: s.Last, Report: v.report, Stopped: s.Stopped != nil, Settings: s.Config,
	}
	r.Estimate, r.Untested = foresee(v.begun.Estimate), v.untested()
	r.Task, r.Measures = string(v.begun.Targets.Task.Named()), v.measured
	if s.PeakBytes > 0 {
		r.PeakBytes = &s.PeakBytes
	}
	if s.State != "" {
		r.State = &s.State
	}
	return printJSON(v.cmd.OutOrStdout(), r)
}

// result prints the figures, the files, and the command that uses the model of the best figure.
func (v *trainView) result(s train.Summary) error {
	v.totals(s, s.Epochs)
	if s.Early {
		say(v.out, "ended early, after %d of %d epochs: none of the last %d was better than epoch %d\n", s.Epochs, s.Config.Epochs, s.Epochs-s.BestEpoch, s.BestEpoch)
	}
	say(v.out, "%s: %s\n", s.Dir, strings.Join(v.files(s), ", "))
	v.missing(s)
	say(v.out, "%s\n", memoryLine(s))
	if v.reported != "" {
		say(v.out, "%s\n", v.reported)
	}
	switch {
	case s.Best != "":
		say(v.out, "use the model of %s: residual predict %s IMAGE\n", v.bestText(s), shell.Quote(s.Best))
	case s.Last != "":
		say(v.out, "use the model of epoch %d: residual predict %s IMAGE\n", s.LastEpoch, shell.Quote(s.Last))
	}
	if v.flags.json {
		return v.json(s)
	}
	return nil
}

// files lists the files in the run folder.
func (v *trainView) files(s train.Summary) (names []string) {
	if s.Best != "" {
		names = append(names, fmt.Sprintf("%s (%s)", train.BestFile, v.bestText(s)))
	}
	if s.Last != "" {
		names = append(names, fmt.Sprintf("%s (epoch %d)", train.LastFile, s.LastEpoch))
	}
	names = append(names, v.pictures...)
	names = append(names, "metrics.csv", "metrics.jsonl", "settings.yaml", train.RecipeFile)
	if s.State != "" {
		names = append(names, train.StateFile)
	}
	return names
}

// missing names the files of the run that something else removed.
func (v *trainView) missing(s train.Summary) {
	for _, path := range s.Missing {
		say(v.out, "%s is gone: something removed it while the run trained\n", path)
	}
}

// bestText is the best epoch with its figures: epoch 8, test acc 0.912.
func (v *trainView) bestText(s train.Summary) string {
	return fmt.Sprintf("epoch %d, %s", s.BestEpoch, v.scored(s))
}

// totals prints the figures of the last epoch, of the best one, and the speed.
func (v *trainView) totals(s train.Summary, epoch int) {
	test := "unknown"
	if !math.IsNaN(s.TestAccuracy) {
		test = fmt.Sprintf("%.3f", s.TestAccuracy)
		if p := v.begun.Photos; p != nil {
			test += over(p.Untested, len(p.Index.Classes))
		}
	}
	line := fmt.Sprintf("loss %.3f, train acc %.3f", s.Loss, s.Accuracy)
	switch {
	case s.Stopped != nil && !v.ofClasses(): // an epoch that was stopped was not tested
		line = "loss " + shortNumber(s.Loss)
	case s.Stopped != nil:
	case v.ofClasses():
		line += ", test acc " + test
	default:
		line = v.lastLine(s)
	}
	say(v.out, "\nepoch %d: %s\n", epoch, line)
	if s.Best != "" && s.BestEpoch != epoch {
		say(v.out, "the best: %s\n", v.bestText(s))
	}
	say(v.out, "%s images/s on %s\n", rate(s.ImagesPerSecond), s.Device)
}

func memoryLine(s train.Summary) string {
	peak := "peak memory unknown on this system"
	if s.PeakBytes > 0 {
		peak = "peak memory " + report.Bytes(s.PeakBytes)
	}
	return fmt.Sprintf("%s, of which %s were planned for the network; %s in all",
		peak, report.Bytes(s.PlannedBytes), report.Duration(s.Elapsed))
}

// stopped prints the result of a training that was interrupted.
func (v *trainView) stopped(s train.Summary) error {
	v.totals(s, s.Stopped.Epoch)
	say(v.out, "stopped in epoch %d after batch %d; the weights so far are in %s\n", s.Stopped.Epoch, s.Stopped.Batch, s.Last)
	v.missing(s)
	say(v.out, "use them: residual predict %s IMAGE, or measure them: residual eval %[1]s\n", shell.Quote(s.Last))
	if s.Best != "" {
		say(v.out, "use the model of %s: residual predict %s IMAGE\n", v.bestText(s), shell.Quote(s.Best))
	}
	if s.State == "" {
		say(v.out, "%s\n", "no epoch was completed, so the training can only be started again")
	} else {
		say(v.out, "go on after epoch %d: residual train --resume %s\n", s.Epochs, shell.Quote(s.Dir))
	}
	if v.flags.json {
		if err := v.json(s); err != nil {
			return err
		}
	}
	return errReported
}

// shared says how many images the last batches have, if they share them.
func shared(last []int) string {
	switch len(last) {
	case 1:
		return fmt.Sprintf(" (the last of %d)", last[0])
	case 2:
		return fmt.Sprintf(" (the last two of %d and %d)", last[0], last[1])
	}
	return ""
}

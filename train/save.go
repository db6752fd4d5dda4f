package train

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train/loop"
)

// The files with weights in a run folder: the model of the best epoch, the model of the last
// epoch, and the state from which the run can be resumed.
const (
	BestFile  = checkpoint.BestFile
	LastFile  = checkpoint.LastFile
	StateFile = checkpoint.StateFile
)

// row is a row of the metrics: a point of the curves. The last row of an epoch also has the
// results of the test. What was not measured, or overflowed, is nil.
type row struct {
	Epoch     float64       `json:"epoch"`
	Step      int           `json:"step"`
	LR        float32       `json:"lr"`
	TrainLoss number.Float  `json:"train_loss"`
	TrainAcc  *number.Float `json:"train_acc"`
	TestLoss  *number.Float `json:"test_loss"`
	TestAcc   *number.Float `json:"test_acc"`
	GradNorm  *number.Float `json:"grad_norm"`
	MacroF1   *number.Float `json:"macro_f1"`
	Balanced  *number.Float `json:"balanced_accuracy"`
	MAP       *number.Float `json:"map"`
	MAE       *number.Float `json:"mae"`
	RMSE      *number.Float `json:"rmse"`
	R2        *number.Float `json:"r2"`
	IoU       *number.Float `json:"iou"`
	Score     *number.Float `json:"score"` // of Own.Score
	Rate      *number.Float `json:"images_per_second"`
	Seconds   float64       `json:"seconds"`
}

// point writes a point of the curves, except for an epoch's last, which waits for the test.
func (j *job) point(p Point) error {
	r := row{
		Epoch: p.X, Step: j.trainer.Steps(), LR: p.LR, TrainLoss: number.Float(p.Loss), TrainAcc: number.Known(p.Accuracy), GradNorm: number.Known(p.GradientNorm),
		Seconds: time.Since(j.begun).Seconds(),
	}
	if j.cb.OnPoint != nil {
		j.cb.OnPoint(p)
	}
	if p.X == math.Trunc(p.X) {
		j.pending = &r
		return nil
	}
	return j.metrics.Append(r)
}

// epochEnd saves the metrics, the state and the models of an epoch. The state is one file,
// and an epoch counts once it is written. If the program crashes before that, Resume removes
// the metrics of the epoch; if it crashes after it, Resume writes the models again.
func (j *job) epochEnd(ctx context.Context, e Epoch) error {
	if j.logErr != nil {
		return j.logErr
	}
	if err := j.photos.unchanged(ctx); err != nil {
		return err
	}
	r := *j.pending
	j.pending = nil
	r.TestLoss, r.TestAcc, r.Rate = number.Known(e.TestLoss), number.Known(e.TestAccuracy), number.Known(e.ImagesPerSecond)
	measured := checkpoint.Metrics{}
	for _, m := range e.Measures(j.native.Targets.Task) {
		if slices.Contains(j.extraMetrics(), m.Metric) {
			measured[m.Metric.Column()] = m.Value
			r.set(m.Metric, number.Known(m.Value))
		}
	}
	if j.Score != nil {
		measured["score"], r.Score = e.Score, number.Known(e.Score)
	}
	r.Seconds = time.Since(j.begun).Seconds()
	if err := errors.Join(j.metrics.Append(r), j.metrics.Sync()); err != nil {
		return err
	}
	metrics := checkpoint.Metrics{
		"train_loss": e.Loss, "train_accuracy": e.Accuracy, "test_loss": e.TestLoss, "test_accuracy": e.TestAccuracy,
	}
	maps.Copy(metrics, measured)
	m := j.about(e.Epoch, metrics)
	m.Temperature = e.Temperature
	if e.Best {
		j.best = best{e.Epoch, e.Measured(), e.Score}
	}
	decided := j.decided()
	if err := j.saveState(m, r.Seconds); err != nil {
		return err
	}
	if decided { // after the state, whose length OpenRun takes
		if err := j.writeSettings(); err != nil {
			return err
		}
	}
	return j.saveModels(m, nn.StateDict(j.module), e.Best)
}

// saveState writes the state at the end of an epoch.
func (j *job) saveState(m checkpoint.Model, seconds float64) error {
	text, err := number.Marshal(j.Config)
	if err != nil {
		return err
	}
	t, err := j.trainer.State()
	if err != nil { // the last state stays
		return err
	}
	accuracy := j.best.accuracy
	if !number.Finite(accuracy) {
		accuracy = 0 // of a task that has none
	}
	s := checkpoint.State{
		Epoch: m.Epoch, Steps: t.Steps, OptimizerSteps: t.OptimizerSteps, BestEpoch: j.best.epoch, BestAccuracy: accuracy,
		BestScore: number.Known(j.best.score), Seconds: seconds, Settings: text, Model: m,
	}
	path := j.folder.Path(StateFile)
	values := checkpoint.Values{Model: t.Values, Optimizer: t.Slots, Average: t.Averages}
	if err := checkpoint.SaveState(path, s, values); err != nil {
		return err
	}
	j.summary.State = path
	return nil
}

// saveModels writes the model files of an epoch.
func (j *job) saveModels(m checkpoint.Model, values []tensor.Named, best bool) error {
	last := j.folder.Path(LastFile)
	if err := checkpoint.SaveModel(last, m, values); err != nil {
		return err
	}
	j.summary.Last, j.summary.LastEpoch = last, m.Epoch
	if !best {
		return nil
	}
	path := j.folder.Path(BestFile)
	if err := checkpoint.SaveModel(path, m, values); err != nil {
		return err
	}
	j.summary.Best = path
	return nil
}

// set sets a metric of the test in the row.
func (r *row) set(m Metric, value *number.Float) {
	*map[Metric]**number.Float{
		loop.MacroF1: &r.MacroF1, loop.BalancedAccuracy: &r.Balanced, loop.MeanAveragePrecision: &r.MAP,
		loop.MAE: &r.MAE, loop.RMSE: &r.RMSE, loop.R2: &r.R2, loop.MeanIoU: &r.IoU,
	}[m] = value
}

// decided takes the length that was decided so far into the settings, and reports whether it has
// changed.
func (j *job) decided() bool {
	if j.pace == nil || slices.Equal(j.Length, j.pace.length) {
		return false
	}
	j.Length = slices.Clone(j.pace.length)
	j.Epochs = epochsIn(j.Length, j.trainer.Batches())
	return true
}

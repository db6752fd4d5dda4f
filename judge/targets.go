package judge

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/report/page"
	"github.com/residual-ml/residual/task"
)

// Answers returns the measures of a model that predicts labels, values or masks, and nil for one
// that predicts classes.
func (j *Judgement) Answers() *page.Answers {
	names := j.model.Info().Names()
	a := &page.Answers{Count: j.Count}
	loss := page.Tile{Name: "Loss", Value: numberText(j.Loss), Note: "mean over the images"}
	switch {
	case j.Labels != nil:
		r := j.Labels
		a.Title, a.Columns = "Labels", []string{"label", "average precision", "precision", "recall", "F1", "images", "given"}
		a.Lead = "Average precision is the area under the precision-recall curve of a label over all thresholds. Precision, recall and F1 are at the threshold 0.5: a label is given where its probability is at least that. A fraction of no images is shown as –."
		a.Tiles = []page.Tile{
			{Name: "mAP", Value: numberText(r.MeanAveragePrecision), Note: "mean of the average precisions"},
			{Name: "Macro F1", Value: numberText(r.MacroF1), Note: "mean over the labels"},
			{Name: "Micro F1", Value: numberText(r.MicroF1), Note: "of all labels of all images"},
			{Name: "Exact", Value: numberText(r.Exact), Note: "share of the images all of whose labels are right"}, loss,
		}
		for i, s := range r.Scores {
			a.Rows = append(a.Rows, []string{names[i], numberText(s.AveragePrecision), numberText(s.Precision), numberText(s.Recall), numberText(s.F1),
				report.Count(int64(s.Support)), report.Count(int64(s.Predicted))})
		}
	case j.Values != nil:
		r := j.Values
		a.Title, a.Columns = "Values", []string{"value", "MAE", "RMSE", "R²"}
		a.Lead = "MAE is the mean absolute error and RMSE the root of the mean squared error, in the units of the value. R² is 1 for perfect answers and 0 for those that are as good as the mean of the values."
		a.Tiles = []page.Tile{
			{Name: "R²", Value: numberText(r.R2), Note: "mean over the values"}, {Name: "MAE", Value: numberText(r.MAE), Note: "mean over the values, each in its units"},
			{Name: "RMSE", Value: numberText(r.RMSE), Note: "mean over the values, each in its units"}, loss,
		}
		for i, s := range r.Scores {
			name := "all"
			if i < len(names) {
				name = names[i]
			}
			a.Rows = append(a.Rows, []string{name, numberText(s.MAE), numberText(s.RMSE), numberText(s.R2)})
		}
	case j.Masks != nil:
		r := j.Masks
		a.Title, a.Columns = "Masks", []string{"class", "IoU"}
		a.Lead = "IoU is the number of pixels that have a class and were given it, over those that have it or were given it."
		a.Tiles = []page.Tile{
			{Name: "Mean IoU", Value: numberText(r.MeanIoU), Note: "mean over the classes"},
			{Name: "Pixel accuracy", Value: numberText(r.Accuracy), Note: "of " + report.Count(int64(r.Pixels)) + " pixels"}, loss,
		}
		for i, v := range r.IoU {
			name := fmt.Sprint(i)
			if len(names) > 1 {
				name = names[i]
			}
			a.Rows = append(a.Rows, []string{name, numberText(v)})
		}
	default:
		return nil
	}
	return a
}

// numberText writes a measure in any unit.
func numberText(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return report.Nothing
	case a != 0 && (a >= 1e5 || a < 0.01):
		return fmt.Sprintf("%.4g", v)
	}
	return fmt.Sprintf("%.4f", v)
}

// ofClasses reports whether the model answers with classes.
func (j *Judgement) ofClasses() bool { return j.model.Info().Task.Named() == task.Classes }

// Package report shows what a training run does: curves as text, PNG and SVG
// (Curves, with the three curves of the d2l plot), a live progress display that
// falls back to plain lines where the output is not a terminal (Progress,
// Download), aligned tables (Table), the confusion matrix and scores per class
// (ConfusionText, Scores), calibration (Calibration), heat maps (Heatmap) and
// figures with several panels (Figure). Duration, Count, Bytes and SI format
// the numbers in them.
//
// The shortest use is a table of scores:
//
//	scores := report.Scores(classes, counts) // counts[true][predicted]
//	t := report.NewTable(report.Column{Title: "class"}, report.Column{Title: "recall", Align: report.Right})
//	for _, s := range scores {
//		t.Row(s.Class, fmt.Sprintf("%.2f", s.Recall))
//	}
//	err := t.Write(os.Stdout)
//
// The package neither computes nor stores training state: the trainer passes
// numbers to it, and a report that cannot be written never stops a training.
package report

package report_test

import (
	"fmt"

	"github.com/residual-ml/residual/report"
)

// Scores computes precision, recall and F1 of every class from counts[true][predicted],
// which holds numbers of images.
func Example() {
	scores := report.Scores([]string{"cat", "dog"}, [][]int{{8, 2}, {1, 9}})
	t := report.NewTable(report.Column{Title: "class"}, report.Column{Title: "precision"}, report.Column{Title: "recall"})
	for _, s := range scores {
		t.Row(s.Class, fmt.Sprintf("%.2f", s.Precision), fmt.Sprintf("%.2f", s.Recall))
	}
	fmt.Print(t)
	// Output:
	// class  precision  recall
	// ────────────────────────
	// cat    0.89       0.80
	// dog    0.82       0.90
}

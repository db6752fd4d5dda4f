package forward_test

import (
	"math"
	"testing"

	"github.com/residual-ml/residual/inference/forward"
)

// The means over classes equal scikit-learn's. Three classes have images, one is only
// predicted, and one is neither present nor predicted.
func TestMeansOverClasses(t *testing.T) {
	r := forward.Result{Confusion: [][]int{{5, 1, 0, 0, 0}, {2, 2, 0, 0, 0}, {0, 1, 1, 1, 0}, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}}}
	if got, want := r.MacroF1(), (10.0/13+4.0/8+2.0/4)/4; math.Abs(got-want) > 1e-12 {
		t.Errorf("macro F1 %v, want %v", got, want)
	}
	if got, want := r.BalancedAccuracy(), (5.0/6+2.0/4+1.0/3)/3; math.Abs(got-want) > 1e-12 {
		t.Errorf("balanced accuracy %v, want %v", got, want)
	}
}

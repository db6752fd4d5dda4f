// Package metrics measures what models answer: labels, values and masks. Every measure is that of
// scikit-learn. A collector takes batches of answers beside the targets, and gives the
// measures at the end:
//
//	m := metrics.NewValues(2)
//	m.Add(predicted, targets) // [n, 2] each, image after image
//	r := m.Result()
//	fmt.Println(r.MAE, r.R2)
//
// The classes of images are measured by packages inference and report, from a confusion matrix.
package metrics

import (
	"math"
	"slices"

	"github.com/residual-ml/residual/tensor"
)

// mean is the mean of the numbers among values; NaN if there are none.
func mean(values []float64) float64 {
	sum, n := 0.0, 0
	for _, v := range values {
		if !math.IsNaN(v) {
			sum += v
			n++
		}
	}
	return sum / float64(n)
}

// rows checks that a batch has whole rows of answers and as many targets, and returns how many.
func rows(of string, answers, targets, width int) int {
	if width < 1 || answers != targets || answers%width != 0 {
		panic(tensor.Misusef("metrics.%s: %d answers and %d targets in rows of %d", of, answers, targets, width))
	}
	return answers / width
}

// AveragePrecision summarises a precision-recall curve as the mean of the precisions at every
// threshold, weighted by the gain in recall: Σ (R[i] - R[i-1])·P[i]. Scores are in any order
// and on any scale, and equal ones count at once. It is NaN where no target is true.
// https://scikit-learn.org/stable/modules/generated/sklearn.metrics.average_precision_score.html
func AveragePrecision(scores []float32, targets []bool) float64 {
	rows("AveragePrecision", len(scores), len(targets), 1)
	order := make([]int, len(scores))
	positive := 0
	for i := range order {
		order[i] = i
		if targets[i] {
			positive++
		}
	}
	if positive == 0 {
		return math.NaN()
	}
	slices.SortFunc(order, func(a, b int) int {
		switch x, y := scores[a], scores[b]; {
		case x > y, x == x && y != y: // NaN comes last
			return -1
		case x < y, x != x && y == y:
			return 1
		}
		return 0
	})
	sum, hits := 0.0, 0
	for i := 0; i < len(order); {
		end, before := i, hits
		for ; end < len(order) && !(scores[order[end]] < scores[order[i]]) && (scores[order[end]] == scores[order[end]]) == (scores[order[i]] == scores[order[i]]); end++ {
			if targets[order[end]] {
				hits++
			}
		}
		i = end
		sum += float64(float64(hits-before) / float64(positive) * (float64(hits) / float64(i)))
	}
	return sum
}

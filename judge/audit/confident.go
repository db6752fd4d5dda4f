package audit

import (
	"cmp"
	"math"
	"slices"

	"github.com/residual-ml/residual/data"
)

// Doubtful returns the images whose label is probably wrong, the least likely label first. The
// images that a run was trained on are judged apart from the others, since a classifier is surer
// of them.
//
// The threshold of a class is the mean probability that the images labelled with it have of it.
// An image looks like the likeliest of the classes whose thresholds it reaches. The images that
// look like another class than their label, and of which that label is not the likeliest class,
// are the count of the wrong labels: the sum beside the diagonal of the paper's confident joint.
// So many are returned, of those whose label is not the likeliest class the ones with the least
// likely labels. That is the method low_self_confidence of cleanlab's find_label_issues.
func Doubtful(classes []string, all []Opinion) []Suspect {
	var seen, unseen []Opinion
	for _, o := range all {
		if o.Part == string(data.Train) {
			seen = append(seen, o)
		} else {
			unseen = append(unseen, o)
		}
	}
	others := thresholds(len(classes), all)
	suspects := append(doubtful(classes, seen, others), doubtful(classes, unseen, others)...)
	slices.SortStableFunc(suspects, func(a, b Suspect) int { return cmp.Compare(a.Probability, b.Probability) })
	return suspects
}

// doubtful is Doubtful for images that are judged together. others are the thresholds of classes
// that none of them is labelled with.
func doubtful(classes []string, all []Opinion, others []float64) []Suspect {
	least := thresholds(len(classes), all)
	for i, v := range least {
		if math.IsNaN(v) {
			least[i] = others[i]
		}
	}
	var suspects []Suspect
	wrong := 0
	for _, o := range all {
		own := float64(o.Probabilities[o.Label])
		if o.Likeliest == o.Label {
			continue
		}
		if class := looksLike(o.Probabilities, least); math.IsNaN(own) || class >= 0 && class != o.Label {
			wrong++
		}
		suspects = append(suspects, Suspect{
			Name: o.Name, Path: o.Path, Part: o.Part, Label: classes[o.Label], Loss: -math.Log(own), Probability: own,
			Likeliest: classes[o.Likeliest], LikeliestProbability: float64(o.Probabilities[o.Likeliest]),
		})
	}
	slices.SortStableFunc(suspects, func(a, b Suspect) int { return cmp.Compare(a.Probability, b.Probability) })
	return suspects[:wrong]
}

// thresholds returns the mean probability of each class among the images labelled with it; NaN
// for a class without images.
func thresholds(classes int, all []Opinion) []float64 {
	sum, count := make([]float64, classes), make([]float64, classes)
	for _, o := range all {
		if own := float64(o.Probabilities[o.Label]); !math.IsNaN(own) {
			sum[o.Label] += own
			count[o.Label]++
		}
	}
	for i := range sum {
		sum[i] /= count[i]
	}
	return sum
}

// looksLike returns the likeliest class among those whose thresholds are reached; -1 if there is
// none.
func looksLike(probabilities []float32, thresholds []float64) int {
	const rounding = 1e-6 // as in cleanlab, for probabilities of which all are equal
	best := -1
	for j, p := range probabilities {
		if float64(p) >= thresholds[j]-rounding && (best < 0 || p > probabilities[best]) {
			best = j
		}
	}
	return best
}

package metrics

import "math"

// DefaultThreshold is the probability from which on a label counts as given.
const DefaultThreshold = 0.5

// Labels collects the answers of a model that gives images several labels at once.
type Labels struct {
	threshold float64
	scores    [][]float32 // of every label, in the order of the images
	targets   [][]bool
	exact     int // images all of whose labels are right
}

// NewLabels returns a collector for a number of labels. A label counts as given where its
// probability is at least threshold; 0 means DefaultThreshold.
func NewLabels(labels int, threshold float64) *Labels {
	if threshold == 0 {
		threshold = DefaultThreshold
	}
	return &Labels{threshold: threshold, scores: make([][]float32, labels), targets: make([][]bool, labels)}
}

// Add takes the logits of a batch and its targets, [n, labels] each. A target above 1/2 says
// that the label is present.
func (l *Labels) Add(logits, targets []float32) {
	k := len(l.scores)
	for i := range rows("Labels", len(logits), len(targets), k) {
		right := true
		for j := range k {
			z, there := logits[i*k+j], targets[i*k+j] > 0.5
			l.scores[j], l.targets[j] = append(l.scores[j], z), append(l.targets[j], there)
			right = right && l.given(z) == there
		}
		if right {
			l.exact++
		}
	}
}

func (l *Labels) given(logit float32) bool { return Sigmoid(logit) >= l.threshold }

// Sigmoid is the probability that a logit stands for.
func Sigmoid(logit float32) float64 { return 1 / (1 + math.Exp(-float64(logit))) }

// LabelScore measures one label. What would be 0/0 is NaN: the recall of a label that no image
// has, and the precision of one that is never given.
type LabelScore struct {
	Support          int // images that have the label
	Predicted        int // images that were given it
	Right            int // images that have it and were given it
	AveragePrecision float64
	Precision        float64
	Recall           float64
	F1               float64
}

// LabelResult measures all labels.
type LabelResult struct {
	Count                int // images
	Scores               []LabelScore
	MeanAveragePrecision float64 // mean over the labels that some image has
	MacroF1              float64 // mean over the labels that some image has or was given
	MicroF1              float64 // of all labels of all images as one
	Exact                float64 // share of the images all of whose labels are right
}

// Result measures what was added.
func (l *Labels) Result() LabelResult {
	r := LabelResult{Count: len(l.scores[0])}
	var precisions, f1 []float64
	var all LabelScore
	for j, scores := range l.scores {
		s := LabelScore{AveragePrecision: AveragePrecision(scores, l.targets[j])}
		for i, z := range scores {
			given := l.given(z)
			if l.targets[j][i] {
				s.Support++
				if given {
					s.Right++
				}
			}
			if given {
				s.Predicted++
			}
		}
		s.rates()
		all.Support, all.Predicted, all.Right = all.Support+s.Support, all.Predicted+s.Predicted, all.Right+s.Right
		precisions, f1 = append(precisions, s.AveragePrecision), append(f1, s.F1)
		r.Scores = append(r.Scores, s)
	}
	all.rates()
	r.MeanAveragePrecision, r.MacroF1, r.MicroF1 = mean(precisions), mean(f1), all.F1
	r.Exact = float64(l.exact) / float64(r.Count)
	return r
}

func (s *LabelScore) rates() {
	hits := float64(s.Right)
	s.Precision, s.Recall, s.F1 = hits/float64(s.Predicted), hits/float64(s.Support), 2*hits/float64(s.Support+s.Predicted)
}

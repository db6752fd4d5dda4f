package forward

import (
	"fmt"
	"math"
	"time"

	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/metrics"
	"github.com/residual-ml/residual/tensor"
)

// Result is a model's performance on a data set.
type Result struct {
	Loss            float64 `json:"loss"`              // mean cross-entropy, in nats
	Accuracy        float64 `json:"accuracy"`          // share of correct predictions, in [0,1]
	Count           int     `json:"count"`             // images
	AmongFive       int     `json:"among_five"`        // images whose class is among the five most likely
	Confusion       [][]int `json:"confusion"`         // [true class][predicted class]
	ImagesPerSecond float64 `json:"images_per_second"` // loading and compiling included

	// One of these has the measures of another task than classes, whose accuracy is NaN and
	// whose Confusion is nil; Loss is then that of Config.
	Labels *metrics.LabelResult `json:"-"`
	Values *metrics.ValueResult `json:"-"`
	Masks  *metrics.MaskResult  `json:"-"`
}

// MarshalJSON implements json.Marshaler. A loss that is NaN becomes null, and an infinite one
// the string "+Inf".
func (r Result) MarshalJSON() ([]byte, error) { return number.Object(r) }

// Top5Accuracy is the share of images whose class is among the five most likely. Of classes
// with the same logit the first counts as more likely, as in Predict. For a model with five
// classes or fewer the number would mean nothing, and it is NaN.
func (r Result) Top5Accuracy() float64 {
	if len(r.Confusion) <= 5 {
		return math.NaN()
	}
	return float64(r.AmongFive) / float64(r.Count)
}

// MacroF1 is the mean of the F1 scores of all classes that have images or were predicted,
// like scikit-learn's f1_score with average="macro".
func (r Result) MacroF1() float64 {
	sum, classes := 0.0, 0
	for i, row := range r.Confusion {
		there, predicted := 0, 0
		for j := range row {
			there += row[j]
			predicted += r.Confusion[j][i]
		}
		if there+predicted > 0 {
			sum += float64(2*row[i]) / float64(there+predicted)
			classes++
		}
	}
	return sum / float64(classes)
}

// BalancedAccuracy is the mean recall of the classes that have images, like scikit-learn's
// balanced_accuracy_score.
func (r Result) BalancedAccuracy() float64 {
	sum, classes := 0.0, 0
	for i, row := range r.Confusion {
		there := 0
		for _, n := range row {
			there += n
		}
		if there > 0 {
			sum += float64(row[i]) / float64(there)
			classes++
		}
	}
	return sum / float64(classes)
}

// Answer is a model's prediction for one image of a data set. The probabilities are NaN if
// the network's output is not finite.
type Answer struct {
	Index       int     // position of the image in the data set
	Label       int     // true class
	Class       int     // predicted class: the one with the highest probability
	Probability float64 // predicted probability of Class
	Own         float64 // predicted probability of Label
}

// score accumulates the measures over batches, in their order and in float64.
type score struct {
	loss      float64
	count     int
	amongFive int
	confusion [][]int

	temperature float64
}

func (s *score) add(logits *tensor.Tensor, labels []int64, indices []int, each func(a Answer, outputs []float32)) error {
	k := logits.Shape()[1]
	if s.confusion == nil {
		s.confusion = make([][]int, k)
		for i := range s.confusion {
			s.confusion[i] = make([]int, k)
		}
	}
	for i, label := range labels {
		if label < 0 || label >= int64(k) {
			return fmt.Errorf("label %d is outside 0..%d, the model's classes; use the data set the model was trained on", label, k-1)
		}
		row := logits.Data()[i*k : (i+1)*k]
		best, logSum := argmax(row), logSumExp(row, s.temperature)
		s.loss += logSum - float64(row[label])/s.temperature
		s.confusion[label][best]++
		s.count++
		if likelier(row, int(label)) < 5 {
			s.amongFive++
		}
		if each != nil {
			each(Answer{
				Index: indices[i], Label: int(label), Class: best,
				Probability: math.Exp(float64(row[best])/s.temperature - logSum), Own: math.Exp(float64(row[label])/s.temperature - logSum),
			}, row)
		}
	}
	return nil
}

func (t *tally) result(took time.Duration) Result {
	n := float64(t.count)
	r := Result{Loss: t.total / n, Accuracy: math.NaN(), Count: t.count, ImagesPerSecond: n / took.Seconds()}
	switch {
	case t.labels != nil:
		labels := t.labels.Result()
		r.Labels = &labels
	case t.values != nil:
		values := t.values.Result()
		r.Values = &values
	case t.masks != nil:
		masks := t.masks.Result()
		r.Masks = &masks
	default:
		r = t.score.result(took)
		if t.runner.config.Loss != nil {
			r.Loss = t.total / n
		}
	}
	return r
}

func (s *score) result(took time.Duration) Result {
	right := 0
	for i := range s.confusion {
		right += s.confusion[i][i]
	}
	n := float64(s.count)
	return Result{
		Loss: s.loss / n, Accuracy: float64(right) / n, Count: s.count, AmongFive: s.amongFive,
		Confusion: s.confusion, ImagesPerSecond: n / took.Seconds(),
	}
}

// Probabilities returns the softmax of the logits of one image, without overflow.
func Probabilities(logits []float32) []float64 { return ProbabilitiesAt(logits, 1) }

// ProbabilitiesAt is Probabilities of the logits divided by a temperature, which changes how
// sure the model is and never which class is the likeliest.
func ProbabilitiesAt(logits []float32, temperature float64) []float64 {
	sum, p := logSumExp(logits, temperature), make([]float64, len(logits))
	for i, v := range logits {
		p[i] = math.Exp(float64(v)/temperature - sum)
	}
	return p
}

// argmax returns the index of the first largest element. NaN counts as larger than any
// number, as in PyTorch's argmax.
func argmax(x []float32) int {
	best := 0
	for j, v := range x {
		if v > x[best] || v != v && x[best] == x[best] {
			best = j
		}
	}
	return best
}

// likelier returns how many elements come before element i in descending order. Ties and
// NaN are ordered as argmax orders them.
func likelier(x []float32, i int) (count int) {
	for j, v := range x {
		switch {
		case v > x[i] || v != v && x[i] == x[i]:
			count++
		case j < i && (v == x[i] || v != v && x[i] != x[i]):
			count++
		}
	}
	return count
}

// logSumExp returns log(sum(exp(x/temperature))), without overflow.
func logSumExp(x []float32, temperature float64) float64 {
	most := float64(x[argmax(x)]) / temperature
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v)/temperature - most)
	}
	return most + math.Log(sum)
}

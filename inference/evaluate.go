package inference

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/prepare"
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

// Evaluate runs the model on one epoch of l, whose batches may be uint8, and measures it.
// progress, if it is not nil, is called after every batch with the number of images done.
// If ctx ends, Evaluate returns its error.
func Evaluate(ctx context.Context, r *Runner, l *data.Loader, progress func(done, total int)) (Result, error) {
	return evaluate(ctx, r, l, nil, nil, progress)
}

// evaluate is Evaluate with images as the model's input has them, in place of the loader's
// own scale, and with a function that is called for every answer; both may be nil.
func evaluate(ctx context.Context, r *Runner, l *data.Loader, to *prepare.Input, each func(Answer), progress func(done, total int)) (Result, error) {
	start := time.Now()
	e := l.Epoch(ctx, 0)
	defer e.Close()
	var s score
	count := func(b *data.Batch, logits *tensor.Tensor) error {
		err := s.add(logits, b.Labels.Ints(), b.Indices, each)
		if err == nil && progress != nil {
			progress(s.count, l.Samples())
		}
		return err
	}
	pass := func() error { return r.images(e, to, count) }
	if stored := l.Stored(); stored != nil {
		p := &uint8Pass{Runner: r, images: StoredImages(stored), info: l.Info()}
		if to != nil {
			p.images.Table = make([][256]float32, stored.Channels)
			for i := range p.images.Table {
				p.images.Table[i] = to.Preprocess.Table(i)
			}
		}
		pass = func() error { return p.epoch(e, count) }
	}
	if err := pass(); err != nil {
		return Result{}, err
	}
	return s.result(time.Since(start)), nil
}

// images calls do with the logits of every batch of an epoch whose batches are float32.
func (r *Runner) images(e *data.Epoch, to *prepare.Input, do func(b *data.Batch, logits *tensor.Tensor) error) error {
	for {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if to != nil {
			fromUnit(to, b.Images)
		}
		logits, err := r.Logits(b.Images)
		if err == nil {
			err = do(b, logits)
		}
		b.Release()
		if err != nil {
			return err
		}
	}
}

// fromUnit changes a batch of the loader, bytes over 255, to the model's scale.
func fromUnit(in *prepare.Input, x *tensor.Tensor) {
	s := x.Shape()
	in.FromUnit(x.Data(), s[2]*s[3])
}

// score accumulates the measures over batches, in their order and in float64.
type score struct {
	loss      float64
	count     int
	amongFive int
	confusion [][]int
}

func (s *score) add(logits *tensor.Tensor, labels []int64, indices []int, each func(Answer)) error {
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
		best, logSum := argmax(row), logSumExp(row)
		s.loss += logSum - float64(row[label])
		s.confusion[label][best]++
		s.count++
		if likelier(row, int(label)) < 5 {
			s.amongFive++
		}
		if each != nil {
			each(Answer{
				Index: indices[i], Label: int(label), Class: best,
				Probability: math.Exp(float64(row[best]) - logSum), Own: math.Exp(float64(row[label]) - logSum),
			})
		}
	}
	return nil
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

// logSumExp returns log(sum(exp(x))), without overflow.
func logSumExp(x []float32) float64 {
	most := float64(x[argmax(x)])
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - most)
	}
	return most + math.Log(sum)
}

// Package judge says how good a trained model is on a data set and where it errs.
// Examine measures the model in one pass over the images: accuracy, scores per class,
// calibration, and the mistakes of which the model was most sure. Judgement.Report turns the
// result into a report, and Write stores it as an HTML page.
//
//	c, err := inference.Load("runs/train-1/best.safetensors", device, engine.FP32)
//	// ...
//	j, err := judge.Examine(ctx, c, test, judge.Config{})
//	// ...
//	fmt.Println(j.Accuracy, j.Calibration.ExpectedError())
package judge

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/report"
)

// Config says how Examine passes over a data set. The zero value is a sensible default.
type Config struct {
	Loader   data.LoaderConfig        // Batch 0 means 128
	Mistakes int                      // number of mistakes for the report; 0 means 24, below 0 none
	Progress func(done, total int)    // called after every batch; may be nil
	Each     func(a inference.Answer) // called for every image; may be nil
}

// Judgement is the result of Examine.
type Judgement struct {
	inference.Result
	Classes     []string
	Scores      []report.ClassScore
	Calibration report.Calibration // of the answers, with the classifier's temperature if it is Calibrated
	// Raw is the calibration without a temperature, and Fitted that with the temperature in the
	// model's file; nil where the file has none.
	Raw, Fitted *report.Calibration
	// Mistakes are the images that the model assigned to a wrong class with the highest
	// probabilities, in descending order; equal probabilities keep the data set's order.
	Mistakes []inference.Answer
	// Sample are the answers to some images at even distances in the data set.
	Sample []inference.Answer

	model *inference.Classifier
	data  data.Dataset
}

// MarshalJSON implements json.Marshaler. A number that is NaN becomes null, and an infinite
// one the string "+Inf" or "-Inf".
func (j Judgement) MarshalJSON() ([]byte, error) { return number.Object(j) }

// sampled is the number of answers in Judgement.Sample.
const sampled = 32

// Examine measures c on ds, whose images are prepared as they were for the training.
// It returns ctx's error when ctx ends.
func Examine(ctx context.Context, c *inference.Classifier, ds data.Dataset, config Config) (*Judgement, error) {
	if config.Loader.Batch == 0 {
		config.Loader.Batch = 128
	}
	j := &Judgement{Classes: c.Info().Classes, model: c, data: ds, Raw: new(report.Calibration)}
	var temperature float64
	if t := c.Info().Temperature; len(t) == 1 {
		temperature, j.Fitted = t[0], new(report.Calibration)
	}
	every := max(1, ds.Len()/sampled)
	worst := mostConfident{most: config.Mistakes}
	if worst.most == 0 {
		worst.most = 24
	}
	var err error
	j.Result, err = c.EvaluateOutputs(ctx, ds, config.Loader, func(a inference.Answer, outputs []float32) {
		right := a.Class == a.Label
		j.Calibration.Add(a.Probability, right)
		j.Raw.Add(forward.ProbabilitiesAt(outputs, 1)[a.Class], right)
		if j.Fitted != nil {
			j.Fitted.Add(forward.ProbabilitiesAt(outputs, temperature)[a.Class], right)
		}
		worst.add(a)
		if a.Index%every == 0 && len(j.Sample) < sampled {
			j.Sample = append(j.Sample, a)
		}
		if config.Each != nil {
			config.Each(a)
		}
	}, config.Progress)
	if err != nil {
		return nil, err
	}
	j.Mistakes = worst.sorted()
	if j.ofClasses() {
		j.Scores = report.Scores(j.Classes, j.Confusion)
	}
	return j, nil
}

// mostConfident collects the mistakes with the highest probabilities. It stores at most twice as
// many as it returns, so that adding one takes constant time on average.
type mostConfident struct {
	most       int
	candidates []inference.Answer
}

func (s *mostConfident) add(a inference.Answer) {
	if a.Class == a.Label || math.IsNaN(a.Probability) || s.most < 1 {
		return
	}
	if s.candidates = append(s.candidates, a); len(s.candidates) >= 2*s.most {
		s.candidates = s.sorted()
	}
}

func (s *mostConfident) sorted() []inference.Answer {
	slices.SortFunc(s.candidates, func(a, b inference.Answer) int {
		return cmp.Or(cmp.Compare(b.Probability, a.Probability), cmp.Compare(a.Index, b.Index))
	})
	return s.candidates[:min(len(s.candidates), max(s.most, 0))]
}

// name is what an image is called in the report.
func (j *Judgement) name(i int) string {
	return cmp.Or(data.Describe(j.data, i), fmt.Sprintf("image %d", i))
}

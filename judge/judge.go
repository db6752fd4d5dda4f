// Package judge says how good a trained model is on a data set and where it errs: it
// measures the model in one walk over the pictures (Examine), and makes the report of
// what was found (Judgement.Report).
package judge

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/report"
)

// Config says how a data set is walked. The zero value is the sensible one.
type Config struct {
	Loader   data.LoaderConfig        // Batch 0 means 128
	Mistakes int                      // kept for the report; 0 means 24, below 0 none
	Progress func(done, total int)    // hears of every batch; may be nil
	Each     func(a inference.Answer) // hears of every picture; may be nil
}

// Judgement is what was found.
type Judgement struct {
	inference.Result
	Classes     []string
	Scores      []report.ClassScore
	Calibration report.Calibration
	// Mistakes are the pictures that the model took for another class with the highest
	// probabilities, the highest first; of equals the first comes first.
	Mistakes []inference.Answer

	model *inference.Classifier
	data  data.Dataset
}

// Examine measures c on ds, whose pictures are prepared as they were for the training.
// It returns ctx's error when ctx ends.
func Examine(ctx context.Context, c *inference.Classifier, ds data.Dataset, config Config) (*Judgement, error) {
	if config.Loader.Batch == 0 {
		config.Loader.Batch = 128
	}
	j := &Judgement{Classes: c.Info().Classes, model: c, data: ds}
	worst := surest{most: config.Mistakes}
	if worst.most == 0 {
		worst.most = 24
	}
	var err error
	j.Result, err = c.EvaluateEach(ctx, ds, config.Loader, func(a inference.Answer) {
		j.Calibration.Add(a.Probability, a.Class == a.Label)
		worst.add(a)
		if config.Each != nil {
			config.Each(a)
		}
	}, config.Progress)
	if err != nil {
		return nil, err
	}
	j.Mistakes = worst.sorted()
	j.Scores = report.Scores(j.Classes, j.Confusion)
	return j, nil
}

// surest keeps the mistakes with the highest probabilities: at most twice as many as
// are wanted, so that adding one takes constant time on average.
type surest struct {
	most int
	kept []inference.Answer
}

func (s *surest) add(a inference.Answer) {
	if a.Class == a.Label || math.IsNaN(a.Probability) || s.most < 1 {
		return
	}
	if s.kept = append(s.kept, a); len(s.kept) >= 2*s.most {
		s.kept = s.sorted()
	}
}

func (s *surest) sorted() []inference.Answer {
	slices.SortFunc(s.kept, func(a, b inference.Answer) int {
		return cmp.Or(cmp.Compare(b.Probability, a.Probability), cmp.Compare(a.Index, b.Index))
	})
	return s.kept[:min(len(s.kept), max(s.most, 0))]
}

// name is what a picture is called in the report.
func (j *Judgement) name(i int) string {
	return cmp.Or(data.Describe(j.data, i), fmt.Sprintf("picture %d", i))
}

package train

import (
	"fmt"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
)

// startWeights gives the module the values of the file it is to start from, and
// tells what of it had to change. A resumed run has its own and reads no file.
func (j *job) startWeights() (changes []string, err error) {
	if j.Weights == "" {
		return nil, nil
	}
	w, err := exchange.OpenWeights(j.Weights)
	if err != nil {
		return nil, fmt.Errorf("the first weights (--weights): %w", err)
	}
	if changes, err = w.Load(j.module, j.entry); err != nil {
		return nil, err
	}
	if about, err := checkpoint.ModelIn(w.Metadata); err == nil {
		if p := about.Preprocess; p.Scale != 1.0/255 || len(p.Mean)+len(p.Std) > 0 {
			changes = append(changes, fmt.Sprintf("images are bytes over 255, where the file's were times %.4g, less the mean %v, over the deviation %v", p.Scale, p.Mean, p.Std))
		}
	}
	return changes, nil
}

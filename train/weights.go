package train

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

// startWeights gives the module the values of the file it is to start from, and
// tells what of it had to change. A resumed run has its own and reads no file.
func (j *job) startWeights() (changes []string, err error) {
	if j.Weights == "" {
		return nil, nil
	}
	w, err := exchange.OpenWeights(j.Weights)
	if err != nil {
		return nil, field.Errorf("the first weights ({Weights}): %w", err)
	}
	head := j.head()
	if changes, err = w.Load(j.module, j.entry); err != nil {
		return nil, err
	}
	about, err := checkpoint.ModelIn(w.Metadata)
	if err != nil { // weights alone
		return changes, nil
	}
	// As many classes of other names are other classes.
	names, of := j.native.Names(), j.native.Targets.Task.Named()
	if n := len(names); n == len(about.Names()) && (of != about.Task.Named() || !slices.Equal(about.Names(), names)) {
		for _, v := range nn.StateDict(j.module) {
			if was := head[v.Name]; was != nil {
				copy(v.Tensor.Data(), was.Data())
			}
		}
		changes = append(changes, fmt.Sprintf("the last layer %s is new, for %d %s: the file's have other names", j.entry.Head, n, of))
	}
	return append(changes, j.otherPixels(about.Preprocess)...), nil
}

// head copies the values of the module's last layer.
func (j *job) head() map[string]*tensor.Tensor {
	values := map[string]*tensor.Tensor{}
	for _, v := range nn.StateDict(j.module) {
		if v.Name == j.entry.Head+".weight" || v.Name == j.entry.Head+".bias" {
			values[v.Name] = v.Tensor.Clone()
		}
	}
	return values
}

// otherPixels says when the file's network had other numbers for the same pixels.
func (j *job) otherPixels(was prepare.Steps) []string {
	is := j.input(j.native).Preprocess
	if was.BGR {
		return []string{"images are red, green and blue, where the file's network took blue, green and red"}
	}
	if was.Scale == prepare.UnitScale && sameNumbers(was.Mean, is.Mean, 0) && sameNumbers(was.Std, is.Std, 1) {
		return nil
	}
	text := fmt.Sprintf("images are bytes over 255, where the file's were times %.4g, less the mean %v, over the deviation %v", was.Scale, was.Mean, was.Std)
	if len(is.Mean) > 0 {
		text = fmt.Sprintf("images are bytes over 255, less the mean %v, over the deviation %v, where the file's were times %.4g, less %v, over %v", is.Mean, is.Std, was.Scale, was.Mean, was.Std)
	}
	return []string{text}
}

// sameNumbers compares figures by channel; where there are none, each is as good as none.
func sameNumbers(a, b []float64, none float64) bool {
	for i := range max(len(a), len(b)) {
		x, y := none, none
		if len(a) > 0 {
			x = a[min(i, len(a)-1)]
		}
		if len(b) > 0 {
			y = b[min(i, len(b)-1)]
		}
		if x != y {
			return false
		}
	}
	return true
}

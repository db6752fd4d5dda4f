package train

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

// loadFirstWeights gives m, a module for images that native describes, the values of the file
// Weights, and returns what had to be changed to suit the module. A resumed run has its own
// values and reads no file.
func (p plan) loadFirstWeights(m nn.Module, native data.Info) (changes []string, err error) {
	if p.Weights == "" {
		return nil, nil
	}
	w, err := modelfile.OpenWeights(p.Weights)
	if err != nil {
		return nil, field.Errorf("the first weights ({Weights}): %w", err)
	}
	head := p.head(m)
	if changes, err = w.Load(m, p.entry); err != nil {
		return nil, err
	}
	about, err := checkpoint.ModelIn(w.Metadata)
	if err != nil { // the file holds weights alone
		return changes, nil
	}
	// The same number of classes with other names are other classes.
	names, of := native.Names(), native.Targets.Task.Named()
	if n := len(names); n == len(about.Names()) && (of != about.Task.Named() || !slices.Equal(about.Names(), names)) {
		for _, v := range nn.StateDict(m) {
			if was := head[v.Name]; was != nil {
				copy(v.Tensor.Data(), was.Data())
			}
		}
		changes = append(changes, fmt.Sprintf("the last layer %s is new, for %d %s: the file's have other names", p.entry.Head, n, of))
	}
	return append(changes, otherPixels(about.Preprocess, p.input(native).Preprocess)...), nil
}

// head copies the values of a module's last layer.
func (p plan) head(m nn.Module) map[string]*tensor.Tensor {
	values := map[string]*tensor.Tensor{}
	for _, v := range nn.StateDict(m) {
		if v.Name == p.entry.Head+".weight" || v.Name == p.entry.Head+".bias" {
			values[v.Name] = v.Tensor.Clone()
		}
	}
	return values
}

// otherPixels says so if the file's network took other numbers for the same pixels.
func otherPixels(was, is prepare.Steps) []string {
	if was.BGR {
		return []string{"images are red, green and blue, where the file's network took blue, green and red"}
	}
	if was.Scale == prepare.UnitScale && sameNumbers(was.Mean, is.Mean, 0) && sameNumbers(was.Std, is.Std, 1) {
		return nil
	}
	text := fmt.Sprintf("images are bytes over 255, where the file's were times %.4g, less the mean %v, over the std %v", was.Scale, was.Mean, was.Std)
	if len(is.Mean) > 0 {
		text = fmt.Sprintf("images are bytes over 255, less the mean %v, over the std %v, where the file's were times %.4g, less %v, over %v", is.Mean, is.Std, was.Scale, was.Mean, was.Std)
	}
	return []string{text}
}

// sameNumbers compares numbers by channel. A list without numbers stands for none in every
// channel, and one with too few repeats its last.
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

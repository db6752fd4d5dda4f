package inference

import (
	"context"
	"fmt"
	"image"
	"iter"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Value is a value that a model estimates for an image, in the units of its training.
type Value struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Values returns the values that the model estimates for an image, in the model's order. It
// returns an error if the model answers with classes or labels.
func (c *Classifier) Values(img image.Image) ([]Value, error) {
	x, err := c.Prepare([]image.Image{img})
	if err != nil {
		return nil, err
	}
	all, err := c.estimate(x)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// ValuesOfFile is Values for an image file, which it reads with OpenImage.
func (c *Classifier) ValuesOfFile(path string) ([]Value, error) {
	img, err := c.OpenImage(path)
	if err != nil {
		return nil, err
	}
	return c.Values(img)
}

// ValuesOfFiles is PredictFiles for a model that answers with values.
func (c *Classifier) ValuesOfFiles(ctx context.Context, names iter.Seq2[string, error], o photo.Options, memory *photo.Budget, each func(name string, values []Value, err error) error) error {
	s := &stream[[]Value]{compute: c.estimate}
	return s.run(ctx, names, c.filePreparer(o, memory), each)
}

// estimate returns the values of a batch on the model's scale.
func (c *Classifier) estimate(x *tensor.Tensor) ([][]Value, error) {
	if of := c.info.Task.Named(); of != task.Values {
		return nil, fmt.Errorf("%s: the model answers with %s and no values; call Predict", c.path, of)
	}
	turn := c.turn()
	turn.Lock()
	defer turn.Unlock()
	outputs, err := c.runner.Logits(x)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	t := c.info.Targets()
	k := outputs.Shape()[1:].Numel()
	all := make([][]Value, outputs.Shape()[0])
	for i := range all {
		for j, v := range outputs.Data()[i*k : (i+1)*k] {
			value := Value{Value: t.Unit(j, v)}
			if j < len(t.Names) {
				value.Name = t.Names[j]
			}
			if value.Value-value.Value != 0 {
				return nil, fmt.Errorf("%s: the network's output for this image is not finite; its weights are damaged, or its training diverged", c.path)
			}
			all[i] = append(all[i], value)
		}
	}
	return all, nil
}

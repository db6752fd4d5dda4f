package inference

import (
	"context"
	"fmt"
	"image"
	"io"
	"iter"

	"github.com/residual-ml/residual/task"
)

// Value is a value that a model estimates for an image, in the units of its training.
type Value struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Values returns the values that the model estimates for an image, in the model's order. It is
// an error for a model that answers with classes or labels, as Predict is for others. If ctx
// ends, Values returns its error immediately.
func (c *Classifier) Values(ctx context.Context, img image.Image) ([]Value, error) {
	return one(ctx, c, c.imagePreparer(img), c.estimate())
}

// ValuesOfReader is Values for the content of an image file, which it reads as PredictReader does.
func (c *Classifier) ValuesOfReader(ctx context.Context, r io.Reader) ([]Value, error) {
	return one(ctx, c, c.readerPreparer(r), c.estimate())
}

// ValuesOfBytes is Values for the content of an image file.
func (c *Classifier) ValuesOfBytes(ctx context.Context, content []byte) ([]Value, error) {
	return one(ctx, c, c.bytesPreparer(content), c.estimate())
}

// ValuesOfFile is Values for an image file. Errors name the file.
func (c *Classifier) ValuesOfFile(ctx context.Context, path string) ([]Value, error) {
	return one(ctx, c, c.pathPreparer(path), c.estimate())
}

// ValuesOfFiles is PredictFiles for a model that answers with values.
func (c *Classifier) ValuesOfFiles(ctx context.Context, names iter.Seq2[string, error], each func(name string, values []Value, err error) error) error {
	return newStream(c, c.estimate()).run(ctx, names, c.prepareFile, each)
}

// estimate answers with values.
func (c *Classifier) estimate() answerer[[]Value] {
	if of := c.info.Task.Named(); of != task.Values {
		return answerer[[]Value]{err: fmt.Errorf("%s: the model answers with %s and no values; call Predict", c.path, of)}
	}
	t := c.info.Targets()
	return answerer[[]Value]{of: func(outputs []float32) (values []Value, err error) {
		for j, v := range outputs {
			value := Value{Value: t.Unit(j, v)}
			if j < len(t.Names) {
				value.Name = t.Names[j]
			}
			if value.Value-value.Value != 0 {
				return nil, c.notFinite("the network's output for")
			}
			values = append(values, value)
		}
		return values, nil
	}}
}

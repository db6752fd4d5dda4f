package inference

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"iter"
	"math"
	"slices"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// EmbedConfig says what the embedding of an image is. The zero value suits most uses.
type EmbedConfig struct {
	// Layer is the path of a module, as nn.Activations describes it: its output is the
	// embedding. "" stands for what goes into the network's head, such as the 512 numbers
	// that a ResNet-18 classifies by.
	Layer string

	// Flatten keeps every number of an output [C, H, W]. Otherwise its mean over the height
	// and the width is taken, C numbers.
	Flatten bool
}

// Embedder computes embeddings: what a classifier's network makes of an image before it decides
// on a class. Similar images have similar embeddings; see Gallery. An Embedder may be used from
// several goroutines.
type Embedder struct {
	c    *Classifier // computes the embedding
	size int
}

// Embedder returns an embedder by c's network. The two share memory, and their computations run
// one at a time. The error lists the modules near an unknown layer.
func (c *Classifier) Embedder(config EmbedConfig) (*Embedder, error) {
	input := c.oneImage()
	var f *nn.Features
	var err error
	if config.Layer == "" {
		f, err = nn.CutHead(c.module, input)
	} else {
		f, err = nn.Cut(c.module, config.Layer, input)
	}
	if _, ok := c.module.(*exchange.Network); ok && err != nil {
		err = fmt.Errorf("%w; of an ONNX graph only layers with parameters have paths", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	m := &embedding{f, config.Flatten}
	y := m.Forward(graph.New(graph.Eval).Input("images", tensor.Float32, input...))
	if y.Shape[0] != 1 {
		return nil, fmt.Errorf("%s: %s gives %v for one image, which is no embedding; choose another layer", c.path, f.Path(), y.Shape)
	}
	e := c.With(m)
	e.runner = forward.New(m, c.store, c.precision, forward.Config{}) // rows of numbers, which are no labels or values
	return &Embedder{e, y.Shape[1]}, nil
}

// oneImage returns the shape of an image that the network takes.
func (c *Classifier) oneImage() tensor.Shape {
	const usual = 224
	e, err := models.Lookup(c.info.Architecture)
	if err != nil {
		e = models.Entry{}
	}
	return tensor.Shape{1, c.info.Channels, cmp.Or(c.info.Height, e.Height, usual), cmp.Or(c.info.Width, e.Width, usual)}
}

// embedding makes one row of numbers of each image: [N, C, H, W] -> [N, size].
type embedding struct {
	Features *nn.Features `nn:""`
	flatten  bool
}

func (m *embedding) Forward(x *graph.Node) *graph.Node {
	y := m.Features.Forward(x)
	if len(y.Shape) == 4 && !m.flatten {
		y = nn.AdaptiveAvgPool2d{}.Forward(y)
	}
	if len(y.Shape) == 1 {
		return y.Reshape(y.Shape[0], 1)
	}
	if len(y.Shape) > 2 {
		y = nn.Flatten{}.Forward(y)
	}
	return y
}

// Size returns how many numbers the embedding of an image has. With EmbedConfig.Flatten that of
// images of other sizes than the model's own may have more or fewer.
func (e *Embedder) Size() int { return e.size }

// Embed returns the embedding of an image, which is prepared as by Classifier.Prepare.
func (e *Embedder) Embed(img image.Image) ([]float32, error) {
	x, err := e.c.Prepare([]image.Image{img})
	if err != nil {
		return nil, err
	}
	rows, err := e.rows(x)
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// EmbedFile is Embed for an image file, which it reads as Classifier.OpenImage does.
func (e *Embedder) EmbedFile(path string) ([]float32, error) {
	img, err := e.c.OpenImage(path)
	if err != nil {
		return nil, err
	}
	return e.Embed(img)
}

// EmbedFiles calls each with the embedding of every image file, in the order of names, or with
// an error. It reads files as Classifier.PredictFiles does, on all cores, and has only a few
// batches in memory at a time.
func (e *Embedder) EmbedFiles(ctx context.Context, names iter.Seq2[string, error], o photo.Options, memory *photo.Budget, each func(name string, embedding []float32, err error) error) error {
	o.Channels = e.c.info.Channels
	s := &stream[[]float32]{compute: e.rows}
	return s.run(ctx, names, func(ctx context.Context, name string) (*tensor.Tensor, error) {
		o := o
		o.Context = ctx
		return e.c.prepareFile(name, o, memory)
	}, each)
}

// rows returns the embeddings of a batch.
func (e *Embedder) rows(x *tensor.Tensor) ([][]float32, error) {
	y, err := e.c.Logits(x)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.c.path, err)
	}
	size := y.Shape()[1]
	rows := make([][]float32, y.Shape()[0])
	for i := range rows {
		rows[i] = slices.Clone(y.Data()[i*size : (i+1)*size])
		for _, v := range rows[i] {
			if v-v != 0 {
				return nil, fmt.Errorf("%s: the embedding of this image is not finite; the model's weights are damaged, or its training diverged", e.c.path)
			}
		}
	}
	return rows, nil
}

// unit returns v divided by its length, so that the product of two units is their cosine
// similarity. That of zeros is zeros.
func unit(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(float64(x) * float64(x))
	}
	u := make([]float32, len(v))
	if length := math.Sqrt(sum); length > 0 {
		for i, x := range v {
			u[i] = float32(float64(x) / length)
		}
	}
	return u
}

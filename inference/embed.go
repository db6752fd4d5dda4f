package inference

import (
	"context"
	"fmt"
	"image"
	"io"
	"iter"
	"math"

	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
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
	e.views, e.temperature = "", nil
	e.runner = forward.New(m, c.store, c.precision, forward.Config{}) // rows of numbers, which are no labels or values
	return &Embedder{e, y.Shape[1]}, nil
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

// Embed returns the embedding of an image, which is prepared as by Classifier.Prepare. Concurrent
// calls share batches, as those of Classifier.Predict do.
func (e *Embedder) Embed(ctx context.Context, img image.Image) ([]float32, error) {
	return one(ctx, e.c, e.c.imagePreparer(img), e.rows())
}

// EmbedReader is Embed for the content of an image file, which it reads as Classifier.PredictReader
// does.
func (e *Embedder) EmbedReader(ctx context.Context, r io.Reader) ([]float32, error) {
	return one(ctx, e.c, e.c.readerPreparer(r), e.rows())
}

// EmbedFile is Embed for an image file. Errors name the file.
func (e *Embedder) EmbedFile(ctx context.Context, path string) ([]float32, error) {
	return one(ctx, e.c, e.c.pathPreparer(path), e.rows())
}

// EmbedFiles calls each with the embedding of every image file, in the order of names, or with
// an error. It reads files as Classifier.PredictFiles does, on all cores, and has only a few
// batches in memory at a time.
func (e *Embedder) EmbedFiles(ctx context.Context, names iter.Seq2[string, error], each func(name string, embedding []float32, err error) error) error {
	return newStream(e.c, e.rows()).run(ctx, names, e.c.prepareFile, each)
}

// rows answers with embeddings.
func (e *Embedder) rows() answerer[[]float32] {
	return answerer[[]float32]{of: func(row []float32) ([]float32, error) {
		for _, v := range row {
			if v-v != 0 {
				return nil, e.c.notFinite("the embedding of")
			}
		}
		return row, nil
	}}
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

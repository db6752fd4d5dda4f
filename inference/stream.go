package inference

import (
	"context"
	"fmt"
	"image"
	"iter"
	"runtime"
	"sync"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// streamBatch is the number of images that a stream computes at once.
const streamBatch = 32

// PredictStream is Predict for any number of images by name. It opens and prepares them on
// all cores and classifies them in batches. It calls each for every name, in order, with
// either the k most likely classes or an error: the one that names yields with the name, or
// that of open or of the model. Only a few batches are in memory at a time, as prepared
// tensors.
//
// open is called from several goroutines at the same time, each from one at a time. If each
// returns an error or ctx ends, PredictStream stops and returns that error immediately, even
// while names is waiting; the iteration of names then ends at its next name.
func (c *Classifier) PredictStream(ctx context.Context, names iter.Seq2[string, error], open func(name string) (image.Image, error), k int, each func(name string, p []Prediction, err error) error) error {
	return c.predictStream(ctx, names, func(_ context.Context, name string) (*tensor.Tensor, error) {
		img, err := open(name)
		if err != nil {
			return nil, err
		}
		x, err := c.Prepare([]image.Image{img})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return x, nil
	}, k, each)
}

// PredictFiles is PredictStream for image files, which it reads with the options o in the
// model's channels. o.MaxPixels limits the size of each image. memory, if it is not nil,
// limits the total memory of the images that are being decoded and prepared at the same time.
// The end of ctx also stops the decoding of an image.
func (c *Classifier) PredictFiles(ctx context.Context, names iter.Seq2[string, error], o photo.Options, memory *photo.Budget, k int, each func(name string, p []Prediction, err error) error) error {
	return c.predictStream(ctx, names, c.filePreparer(o, memory), k, each)
}

// filePreparer returns what reads image files as the model's input.
func (c *Classifier) filePreparer(o photo.Options, memory *photo.Budget) prepareFunc {
	o.Channels = c.info.Channels
	return func(ctx context.Context, name string) (*tensor.Tensor, error) {
		o := o
		o.Context = ctx
		return c.prepareFile(name, o, memory)
	}
}

// prepareFile reads an image file and returns it as the model's input.
func (c *Classifier) prepareFile(name string, o photo.Options, memory *photo.Budget) (*tensor.Tensor, error) {
	content, _, err := photo.Load(name, o)
	if err != nil {
		return nil, err
	}
	var x *tensor.Tensor
	release, err := memory.Hold(content, o)
	if err == nil {
		defer release()
		var m transforms.Image
		if m, _, err = photo.Decode(content, o); err == nil {
			x, err = c.PreparePixels([]transforms.Image{m})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", name, err)
	}
	return x, nil
}

// prepareFunc returns the image of a name as the model's input.
type prepareFunc func(ctx context.Context, name string) (*tensor.Tensor, error)

func (c *Classifier) predictStream(ctx context.Context, names iter.Seq2[string, error], prepare prepareFunc, k int, each func(name string, p []Prediction, err error) error) error {
	s := &stream[[]Prediction]{compute: func(x *tensor.Tensor) ([][]Prediction, error) { return c.classify(x, k) }}
	return s.run(ctx, names, prepare, each)
}

// run calls each with the answer for every name, in order.
func (s *stream[T]) run(ctx context.Context, names iter.Seq2[string, error], prepare prepareFunc, each func(name string, answer T, err error) error) error {
	ctx, stop := context.WithCancel(ctx)
	s.todo = make(chan *streamed[T])
	s.order = make(chan *streamed[T], 2*streamBatch)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	go s.feed(ctx, names)
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() { s.work(ctx, prepare) })
	}
	batch := make([]*streamed[T], 0, streamBatch)
	for {
		batch = s.take(ctx, batch[:0])
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(batch) == 0 {
			return nil
		}
		s.answer(batch)
		for _, p := range batch {
			if err := each(p.name, p.found, p.err); err != nil {
				return err
			}
		}
	}
}

// streamed is an image of a stream.
type streamed[T any] struct {
	name  string
	ready chan struct{} // closed when x or err is set
	x     *tensor.Tensor
	found T // the answer
	err   error
}

// stream answers images by name: T is what compute makes of each image of a batch.
type stream[T any] struct {
	compute func(x *tensor.Tensor) ([]T, error)
	todo    chan *streamed[T] // images for the workers
	order   chan *streamed[T] // the same images in order; its capacity bounds how many are in memory
}

func (s *stream[T]) feed(ctx context.Context, names iter.Seq2[string, error]) {
	defer close(s.todo)
	defer close(s.order)
	for name, err := range names {
		p := &streamed[T]{name: name, err: err, ready: make(chan struct{})}
		if err != nil {
			close(p.ready)
		}
		select {
		case <-ctx.Done():
			return
		case s.order <- p:
		}
		if err != nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case s.todo <- p:
		}
	}
}

func (s *stream[T]) work(ctx context.Context, prepare prepareFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case p, ok := <-s.todo:
			if !ok {
				return
			}
			p.x, p.err = prepare(ctx, p.name)
			close(p.ready)
		}
	}
}

// take waits for the next batch. An empty batch means the end of the stream.
func (s *stream[T]) take(ctx context.Context, batch []*streamed[T]) []*streamed[T] {
	for len(batch) < cap(batch) {
		select {
		case <-ctx.Done():
			return nil
		case p, ok := <-s.order:
			if !ok {
				return batch
			}
			select {
			case <-ctx.Done():
				return nil
			case <-p.ready:
			}
			batch = append(batch, p)
		}
	}
	return batch
}

// answer computes the images that could be read. Images of the same size share a batch; a model
// that takes any size may get several sizes.
func (s *stream[T]) answer(batch []*streamed[T]) {
	done := make([]bool, len(batch))
	for i, p := range batch {
		if done[i] || p.err != nil {
			continue
		}
		var alike []*streamed[T]
		for j, q := range batch[i:] {
			if !done[i+j] && q.err == nil && q.x.Shape().Equal(p.x.Shape()) {
				alike, done[i+j] = append(alike, q), true
			}
		}
		s.answerAlike(alike)
	}
}

// answerAlike computes images of one size. If a batch fails, it computes each image alone, so
// that only the images at fault get an error.
func (s *stream[T]) answerAlike(batch []*streamed[T]) {
	size := batch[0].x.Shape()
	x := tensor.New(len(batch), size[1], size[2], size[3])
	for i, p := range batch {
		copy(x.Data()[i*size.Numel():], p.x.Data())
	}
	found, err := s.compute(x)
	for i, p := range batch {
		switch {
		case err == nil:
			p.found = found[i]
		case len(batch) > 1:
			s.answerAlike(batch[i : i+1])
		default:
			p.err = fmt.Errorf("%s: %w", p.name, err)
		}
	}
}

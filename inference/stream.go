package inference

import (
	"context"
	"fmt"
	"image"
	"iter"
	"runtime"
	"sync"

	"github.com/residual-ml/residual/tensor"
)

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
	return newStream(c, c.ranking(k)).run(ctx, names, func(_ context.Context, name string) (*tensor.Tensor, error) {
		img, err := open(name)
		if err != nil {
			return nil, err
		}
		x, err := c.prepareImage(img)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return x, nil
	}, each)
}

// PredictFiles is PredictStream for image files. Decoding and Memory limit them as in
// PredictFile. The end of ctx also stops the decoding of an image.
func (c *Classifier) PredictFiles(ctx context.Context, names iter.Seq2[string, error], k int, each func(name string, p []Prediction, err error) error) error {
	return newStream(c, c.ranking(k)).run(ctx, names, c.prepareFile, each)
}

// prepareFunc returns the image of a name as the model's input.
type prepareFunc func(ctx context.Context, name string) (*tensor.Tensor, error)

// run calls each with the answer for every name, in order.
func (s *stream[T]) run(ctx context.Context, names iter.Seq2[string, error], prepare prepareFunc, each func(name string, answer T, err error) error) error {
	leave, err := s.c.enter()
	if err != nil {
		return err
	}
	defer leave()
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	go s.feed(ctx, names)
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() { s.work(ctx, prepare) })
	}
	batch := make([]*streamed[T], 0, largestBatch)
	for {
		batch = s.take(ctx, batch[:0])
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(batch) == 0 {
			return nil
		}
		if err := s.answer(ctx, batch); err != nil {
			return err
		}
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

// stream answers images by name.
type stream[T any] struct {
	c       *Classifier
	answers answerer[T]
	todo    chan *streamed[T] // images for the workers
	order   chan *streamed[T] // the same images in order; its capacity bounds how many are in memory
}

func newStream[T any](c *Classifier, answers answerer[T]) *stream[T] {
	return &stream[T]{c, answers, make(chan *streamed[T]), make(chan *streamed[T], 2*largestBatch)}
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

// answer waits for the outputs of the images that could be read.
func (s *stream[T]) answer(ctx context.Context, batch []*streamed[T]) error {
	var read []*streamed[T]
	var images []*tensor.Tensor
	for _, p := range batch {
		if p.err == nil {
			p.err = s.answers.err
		}
		if p.err == nil {
			read, images = append(read, p), append(images, p.x)
		}
	}
	asked, err := s.c.ask(ctx, images...)
	if err != nil {
		return err
	}
	for i, p := range read {
		if p.found, p.err = s.answers.read(s.c, asked[i]); p.err != nil {
			p.err = fmt.Errorf("%s: %w", p.name, p.err)
		}
	}
	return nil
}

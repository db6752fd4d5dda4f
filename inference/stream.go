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

// streamBatch is the number of images that a stream classifies at once.
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
	o.Channels = c.info.Channels
	return c.predictStream(ctx, names, func(ctx context.Context, name string) (*tensor.Tensor, error) {
		o := o
		o.Context = ctx
		return c.prepareFile(name, o, memory)
	}, k, each)
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
	ctx, stop := context.WithCancel(ctx)
	s := &stream{c: c, workers: runtime.GOMAXPROCS(0)}
	s.todo = make(chan *streamed)
	s.order = make(chan *streamed, 2*streamBatch)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	go s.feed(ctx, names)
	for range s.workers {
		running.Go(func() { s.work(ctx, prepare) })
	}
	batch := make([]*streamed, 0, streamBatch)
	for {
		batch = s.take(ctx, batch[:0])
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(batch) == 0 {
			return nil
		}
		c.predictBatch(batch, k)
		for _, p := range batch {
			if err := each(p.name, p.found, p.err); err != nil {
				return err
			}
		}
	}
}

// streamed is an image of a stream.
type streamed struct {
	name  string
	ready chan struct{} // closed when x or err is set
	x     *tensor.Tensor
	found []Prediction
	err   error
}

type stream struct {
	c       *Classifier
	workers int
	todo    chan *streamed // images for the workers
	order   chan *streamed // the same images in order; its capacity bounds how many are in memory
}

func (s *stream) feed(ctx context.Context, names iter.Seq2[string, error]) {
	defer close(s.todo)
	defer close(s.order)
	for name, err := range names {
		p := &streamed{name: name, err: err, ready: make(chan struct{})}
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

func (s *stream) work(ctx context.Context, prepare prepareFunc) {
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
func (s *stream) take(ctx context.Context, batch []*streamed) []*streamed {
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

// predictBatch classifies the images that could be read. Images of the same size share a
// batch; a model that takes any size may get several sizes.
func (c *Classifier) predictBatch(batch []*streamed, k int) {
	done := make([]bool, len(batch))
	for i, p := range batch {
		if done[i] || p.err != nil {
			continue
		}
		var alike []*streamed
		for j, q := range batch[i:] {
			if !done[i+j] && q.err == nil && q.x.Shape().Equal(p.x.Shape()) {
				alike, done[i+j] = append(alike, q), true
			}
		}
		c.predictAlike(alike, k)
	}
}

// predictAlike classifies images of one size. If a batch fails, it classifies each image
// alone, so that only the images at fault get an error.
func (c *Classifier) predictAlike(batch []*streamed, k int) {
	s := batch[0].x.Shape()
	x := tensor.New(len(batch), s[1], s[2], s[3])
	for i, p := range batch {
		copy(x.Data()[i*s.Numel():], p.x.Data())
	}
	found, err := c.classify(x, k)
	for i, p := range batch {
		switch {
		case err == nil:
			p.found = found[i]
		case len(batch) > 1:
			c.predictAlike(batch[i:i+1], k)
		default:
			p.err = fmt.Errorf("%s: %w", p.name, err)
		}
	}
}

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

// streamBatch is how many pictures of a stream are classified at once.
const streamBatch = 32

// PredictStream is Predict for any number of pictures by name: it reads and prepares
// them on all cores, classifies them in batches, and tells each of every one, in the
// order of names: the likeliest classes, or the error that names gave with it, or of
// open or of the model. Only a few batches are in memory at a time, as the model's
// input and not as pictures. open is called from several goroutines, each from one at a
// time. An error of each, or the end of ctx, ends the stream and is returned, at once
// even where names waits for something: it is left to its next name then.
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

// PredictFiles is PredictStream for the images in files, read by o in the model's channels:
// o.MostPixels bounds each, and memory, unless it is nil, those that are decoded at the same
// time, for as long as they have not become the model's input. The end of ctx is heard also
// while an image is decoded.
func (c *Classifier) PredictFiles(ctx context.Context, names iter.Seq2[string, error], o photo.Options, memory *photo.Budget, k int, each func(name string, p []Prediction, err error) error) error {
	o.Channels = c.info.Channels
	return c.predictStream(ctx, names, func(ctx context.Context, name string) (*tensor.Tensor, error) {
		o := o
		o.Context = ctx
		return c.prepareFile(name, o, memory)
	}, k, each)
}

// prepareFile makes the model's input of the image in a file.
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

// prepareFunc makes the model's input of the picture of a name.
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

// streamed is a picture on its way.
type streamed struct {
	name  string
	ready chan struct{} // closed when x or err is there
	x     *tensor.Tensor
	found []Prediction
	err   error
}

type stream struct {
	c       *Classifier
	workers int
	todo    chan *streamed // to the workers
	order   chan *streamed // the same, in order: its length bounds what is in memory
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

// take waits for the next batch; an empty one is the end.
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

// predictBatch classifies what could be read, pictures of one size together: a model
// that takes any size has them of several.
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

// predictAlike classifies pictures of one size; of a batch that fails, each alone.
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

package inference

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/residual-ml/residual/tensor"
)

// largestBatch is the largest batch in which concurrent calls are computed, unless Batching says
// otherwise. The sizes are the
// powers of two up to it, so that few programs serve any number of calls.
const largestBatch = 32

// Batching says how concurrent calls share batches. The zero value suits most uses.
type Batching struct {
	// MaxBatch is the largest batch, a power of two up to MostBatch; 0 means 32. Other numbers
	// stand for the next smaller power of two.
	MaxBatch int

	// MaxDelay is the time for which the first image of a batch waits for others while nothing
	// is computed. 0 computes at once whatever waits, which is best unless the network is much
	// faster in large batches.
	MaxDelay time.Duration
}

// MostBatch is the largest number of images that a batch of concurrent calls can have.
const MostBatch = 256

func (b Batching) most() int {
	if b.MaxBatch < 1 {
		return largestBatch
	}
	return 1 << (bits.Len(uint(min(b.MaxBatch, MostBatch))) - 1)
}

// batchSize returns the size of the batch in which the first of n waiting images, at most most,
// are computed. Up to a quarter of it may be padding; otherwise the next smaller size is taken
// and the remaining images wait for the next batch.
func batchSize(n, most int) int {
	size := 1
	for size < most && size < n {
		size *= 2
	}
	if 4*n < 3*size {
		size /= 2
	}
	return size
}

// query is an image that waits for its outputs.
type query struct {
	x        *tensor.Tensor // [1, C, H, W]
	done     chan struct{}  // closed when the fields below are set
	outputs  []float32
	shape    tensor.Shape // of outputs
	err      error
	panicked any // what the computation panicked with

	asked, begun, ended time.Time // the call, and its batch
	batch               int       // images of the batch
}

// queue computes the images of concurrent calls in batches. An image is computed at once if
// nothing else is; those that arrive meanwhile share the next batch. One goroutine computes as
// long as images wait, so callers can leave at any time.
type queue struct {
	turn    *sync.Mutex                                        // held while a batch is computed
	turns   *Turns                                             // the same, of several classifiers; or nil
	compute func(batch *tensor.Tensor) (*tensor.Tensor, error) // its result is valid until the next call

	mu      sync.Mutex
	waiting []*query
	running bool // a goroutine computes
	most    int  // largest batch that the model and the memory allow
	delay   time.Duration
	full    chan struct{} // while images are awaited: closed when there are most of them

	buffer []float32 // of the batch that is computed; guarded by turn
}

// ask waits for the outputs of images [1, C, H, W]. If ctx ends first, it returns the error of
// ctx immediately, and images whose computation has not begun are not computed.
func (q *queue) ask(ctx context.Context, images ...*tensor.Tensor) ([]*query, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	asked := make([]*query, len(images))
	for i, x := range images {
		asked[i] = &query{x: x, done: make(chan struct{}), asked: time.Now()}
	}
	q.mu.Lock()
	q.waiting = append(q.waiting, asked...)
	if q.full != nil && len(q.waiting) >= q.most {
		close(q.full)
		q.full = nil
	}
	if !q.running && len(asked) > 0 {
		q.running = true
		go q.run()
	}
	q.mu.Unlock()
	for _, a := range asked {
		select {
		case <-a.done:
		case <-ctx.Done():
			q.mu.Lock()
			q.waiting = slices.DeleteFunc(q.waiting, func(w *query) bool { return slices.Contains(asked, w) })
			q.mu.Unlock()
			return nil, ctx.Err()
		}
		if a.panicked != nil {
			panic(a.panicked)
		}
	}
	return asked, nil
}

// run computes batches until no image waits.
func (q *queue) run() {
	for {
		q.gather()
		batch := q.next()
		if batch == nil {
			return
		}
		for _, a := range batch {
			close(a.done)
		}
	}
}

// next computes a batch in its turn, and returns it.
func (q *queue) next() []*query {
	q.turn.Lock()
	defer q.turn.Unlock()
	defer q.turns.take()()
	batch := q.take() // only now, so that images that arrived during another computation take part
	q.answer(batch)
	return batch
}

// gather waits until a batch is full, or the image that waits longest has waited for the delay.
func (q *queue) gather() {
	q.mu.Lock()
	if q.delay <= 0 || len(q.waiting) == 0 || len(q.waiting) >= q.most {
		q.mu.Unlock()
		return
	}
	full, left := make(chan struct{}), q.delay-time.Since(q.waiting[0].asked)
	q.full = full
	q.mu.Unlock()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-full:
	case <-timer.C:
		q.mu.Lock()
		q.full = nil
		q.mu.Unlock()
	}
}

// take removes the images of the next batch from the queue: the one that waits longest, and others
// of its size. None means that the queue is empty and that run ends.
func (q *queue) take() []*query {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running = false
		return nil
	}
	shape := q.waiting[0].x.Shape()
	alike := make([]*query, 0, q.most)
	for _, a := range q.waiting {
		if len(alike) < q.most && a.x.Shape().Equal(shape) {
			alike = append(alike, a)
		}
	}
	alike = alike[:min(len(alike), batchSize(len(alike), q.most))]
	q.waiting = slices.DeleteFunc(q.waiting, func(a *query) bool { return slices.Contains(alike, a) })
	return alike
}

// answer computes images of one size. If a batch fails, such as for lack of memory, it computes
// smaller ones; if these succeed, later batches are no larger.
func (q *queue) answer(batch []*query) {
	if len(batch) == 0 {
		return
	}
	begun := time.Now()
	err := q.computeAlike(batch)
	for ended, i := time.Now(), 0; i < len(batch); i++ {
		batch[i].begun, batch[i].ended, batch[i].batch = begun, ended, len(batch)
	}
	if err == nil {
		return
	}
	if len(batch) == 1 {
		batch[0].err = err
		return
	}
	half := batchSize(len(batch), MostBatch) / 2
	q.answer(batch[:half])
	q.answer(batch[half:])
	if batch[0].err == nil && batch[0].panicked == nil {
		q.limit(half)
	}
}

// largest returns the size of the largest batch.
func (q *queue) largest() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.most
}

// limit makes later batches no larger than n.
func (q *queue) limit(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.most = min(q.most, n)
}

func (q *queue) computeAlike(batch []*query) (err error) {
	defer func() {
		if r := recover(); r != nil { // it belongs to the callers
			for _, a := range batch {
				a.panicked = r
			}
		}
	}()
	size := batch[0].x.Shape()
	n, each := max(len(batch), batchSize(len(batch), MostBatch)), size.Numel()
	if len(q.buffer) < n*each {
		q.buffer = make([]float32, n*each)
	}
	x := tensor.FromSlice(q.buffer[:n*each], n, size[1], size[2], size[3])
	for i, a := range batch {
		copy(x.Data()[i*each:], a.x.Data())
	}
	clear(x.Data()[len(batch)*each:])
	y, err := q.compute(x)
	if err != nil {
		return err
	}
	if y.Shape()[0] != n {
		return fmt.Errorf("the network gives %v for %d images", y.Shape(), n)
	}
	shape := y.Shape()[1:]
	each = shape.Numel()
	for i, a := range batch {
		a.shape, a.outputs = slices.Clone(shape), slices.Clone(y.Data()[i*each:][:each])
	}
	return nil
}

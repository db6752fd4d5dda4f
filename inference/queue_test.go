package inference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/residual-ml/residual/tensor"
)

// doubling is a computation that doubles images of one pixel. It notes the sizes of its batches
// and can be held up.
type doubling struct {
	sizes []int
	begun chan struct{} // receives when a batch begins, if not nil
	going chan struct{} // every batch takes one, if not nil
	fails func(n int) error
}

func (d *doubling) compute(x *tensor.Tensor) (*tensor.Tensor, error) {
	n := x.Shape()[0]
	d.sizes = append(d.sizes, n)
	if d.begun != nil {
		d.begun <- struct{}{}
		<-d.going
	}
	if d.fails != nil {
		if err := d.fails(n); err != nil {
			return nil, err
		}
	}
	y := tensor.New(n, 1)
	for i := range n {
		y.Data()[i] = 2 * x.Data()[i*x.Numel()/n]
	}
	return y, nil
}

func (d *doubling) queue() *queue {
	return &queue{turn: new(sync.Mutex), compute: d.compute, most: largestBatch}
}

func pixel(v float32) *tensor.Tensor { return tensor.New(1, 1, 1, 1).Fill(v) }

func TestBatchSize(t *testing.T) {
	for _, c := range []struct{ n, most, want int }{
		{1, 32, 1}, {2, 32, 2}, {3, 32, 4}, {4, 32, 4}, {5, 32, 4}, {6, 32, 8}, {7, 32, 8}, {11, 32, 8}, {12, 32, 16},
		{17, 32, 16}, {23, 32, 16}, {24, 32, 32}, {32, 32, 32}, {90, 32, 32}, {7, 4, 4}, {3, 1, 1},
	} {
		if got := batchSize(c.n, c.most); got != c.want {
			t.Errorf("%d images, at most %d: a batch of %d, want %d", c.n, c.most, got, c.want)
		}
	}
}

// waitFor waits until n images wait in a queue.
func (q *queue) waitFor(t *testing.T, n int) {
	t.Helper()
	for range 5000 {
		q.mu.Lock()
		now := len(q.waiting)
		q.mu.Unlock()
		if now == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("there are never %d waiting images", n)
}

// Images that arrive while one is computed share the next batch, each gets its own answer, and
// one whose context ends leaves at once.
func TestQueueBatchesWhatWaits(t *testing.T) {
	d := &doubling{begun: make(chan struct{}, 9), going: make(chan struct{}, 9)}
	q := d.queue()
	var all sync.WaitGroup
	ask := func(i int) {
		all.Go(func() {
			got, err := q.ask(t.Context(), pixel(float32(i)))
			if err != nil || got[0].err != nil || !slices.Equal(got[0].outputs, []float32{2 * float32(i)}) {
				t.Errorf("image %d: %v, %v", i, got, err)
			}
		})
	}
	ask(0)
	<-d.begun // it is being computed
	for i := range 30 {
		ask(1 + i)
	}
	q.waitFor(t, 30)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := q.ask(ctx, pixel(100), pixel(101))
		left <- err
	}()
	q.waitFor(t, 32)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) { // though nothing is computed meanwhile
		t.Errorf("a cancelled call returned %v", err)
	}
	q.waitFor(t, 30)
	if _, err := q.ask(ctx, pixel(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a call with an ended context returned %v", err)
	}
	close(d.going)
	all.Wait()
	if !slices.Equal(d.sizes, []int{1, 32}) {
		t.Errorf("the batches had the sizes %v", d.sizes)
	}
}

// A caller whose image is being computed may leave, too, and the others of its batch get their
// answers.
func TestQueueLeavingABatch(t *testing.T) {
	d := &doubling{begun: make(chan struct{}, 9), going: make(chan struct{}, 9)}
	q := d.queue()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-d.begun; cancel() }()
	if _, err := q.ask(ctx, pixel(1), pixel(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(d.going)
	d.turnIsFree(q)
	got, err := q.ask(t.Context(), pixel(4))
	if err != nil || got[0].outputs[0] != 8 {
		t.Errorf("the next call: %v, %v", got, err)
	}
}

// turnIsFree waits for the batch that is being computed.
func (d *doubling) turnIsFree(q *queue) {
	q.turn.Lock()
	defer q.turn.Unlock()
}

// Images of different sizes are computed apart, the longest waiting first.
func TestQueueOfSizes(t *testing.T) {
	d := &doubling{}
	wide := tensor.New(1, 1, 1, 2).Fill(3)
	got, err := d.queue().ask(t.Context(), pixel(1), wide, pixel(2), wide)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float32{2, 6, 4, 6} {
		if got[i].err != nil || got[i].outputs[0] != want {
			t.Errorf("image %d: %v, %v", i, got[i].outputs, got[i].err)
		}
	}
	if !slices.Equal(d.sizes, []int{2, 2}) {
		t.Errorf("the batches had the sizes %v", d.sizes)
	}
}

// A batch that fails is computed in smaller ones, and later ones are no larger; a panic reaches
// the callers.
func TestQueueFailures(t *testing.T) {
	d := &doubling{fails: func(n int) error {
		if n > 2 {
			return errors.New("no memory")
		}
		return nil
	}}
	q := d.queue()
	images := make([]*tensor.Tensor, 7)
	for i := range images {
		images[i] = pixel(float32(i))
	}
	for range 2 {
		got, err := q.ask(t.Context(), images...)
		for i := range images {
			if err != nil || got[i].err != nil || got[i].outputs[0] != 2*float32(i) {
				t.Errorf("image %d: %v, %v, %v", i, got[i].outputs, got[i].err, err)
			}
		}
	}
	if want := []int{8, 4, 2, 2, 4, 2, 1, 2, 2, 2, 1}; !slices.Equal(d.sizes, want) {
		t.Errorf("the batches had the sizes %v, want %v", d.sizes, want)
	}
	d.fails = func(n int) error { return fmt.Errorf("%d is too many", n) }
	got, err := q.ask(t.Context(), images...)
	if err != nil || got[6].err == nil || !strings.Contains(got[6].err.Error(), "1 is too many") || q.most != 2 {
		t.Errorf("%v, %v, at most %d", got[6].err, err, q.most)
	}
	d.fails = func(int) error { panic("stumbled") }
	defer func() {
		if r := recover(); r != "stumbled" {
			t.Errorf("the caller got the panic %v", r)
		}
	}()
	_, _ = q.ask(t.Context(), pixel(1))
	t.Error("the panic is lost")
}

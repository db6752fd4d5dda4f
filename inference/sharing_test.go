package inference

import (
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// Two queues that share turns never compute at once, and neither computes twice while the other
// waits.
func TestTurns(t *testing.T) {
	var turns Turns
	waits := func() {
		for {
			turns.mu.Lock()
			n := len(turns.waiting)
			turns.mu.Unlock()
			if n == 1 {
				return
			}
			runtime.Gosched()
		}
	}
	begun, going := make(chan int), make(chan struct{})
	var all sync.WaitGroup
	ask := func(name int) {
		net := doubling{}
		q := net.queue()
		q.turns, q.most = &turns, 1
		q.compute = func(x *tensor.Tensor) (*tensor.Tensor, error) {
			begun <- name
			<-going
			return net.compute(x)
		}
		all.Go(func() {
			if _, err := q.ask(t.Context(), pixel(1), pixel(2), pixel(3)); err != nil {
				t.Error(err)
			}
		})
	}
	ask(0)
	order := []int{<-begun}
	ask(1)
	for range 4 {
		waits()
		select {
		case name := <-begun:
			t.Fatalf("%d computes beside the other", name)
		case going <- struct{}{}:
		}
		order = append(order, <-begun)
	}
	waits()
	going <- struct{}{}
	order = append(order, <-begun)
	going <- struct{}{}
	all.Wait()
	if want := []int{0, 1, 0, 1, 0, 1}; !slices.Equal(order, want) {
		t.Errorf("the turns were %v, want %v", order, want)
	}
}

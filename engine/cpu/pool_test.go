package cpu

import (
	"sync/atomic"
	"testing"
)

func TestPoolRunsEveryTaskOnce(t *testing.T) {
	for threads := 1; threads <= 4; threads++ {
		p := newPool(threads)
		for _, n := range []int{0, 1, 2, 3, 100} {
			counts := make([]atomic.Int32, n)
			p.run(n, func(i int) { counts[i].Add(1) })
			for i := range counts {
				if counts[i].Load() != 1 {
					t.Errorf("%d threads, %d tasks: task %d ran %d times", threads, n, i, counts[i].Load())
				}
			}
		}
		p.close()
	}
}

// A panic in a task is the caller's, whichever thread ran it, and the pool
// works on.
func TestPoolHandsOnPanics(t *testing.T) {
	p := newPool(3)
	defer p.close()
	for bad := range 50 {
		func() {
			defer func() {
				if r := recover(); r != "broken" {
					t.Fatalf("recovered %v", r)
				}
			}()
			p.run(50, func(i int) {
				if i == bad {
					panic("broken")
				}
			})
		}()
	}
	var n atomic.Int32
	p.run(10, func(int) { n.Add(1) })
	if n.Load() != 10 {
		t.Errorf("after a panic %d of 10 tasks ran", n.Load())
	}
}

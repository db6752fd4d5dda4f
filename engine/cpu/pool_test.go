package cpu

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"
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

// A panic in a task is raised again in the caller, whichever thread ran the task, and
// the pool can be used afterwards.
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

// Steps work when they follow each other at once, while helpers still poll, and after all
// helpers have gone to sleep, with a processor for every thread and without.
func TestPoolFindsItsHelpersAwakeAndAsleep(t *testing.T) {
	for _, threads := range []int{2, 3, 16} {
		p := newPool(threads)
		for round := range 40 {
			if round%10 == 0 {
				time.Sleep(2 * time.Millisecond)
			}
			var sum atomic.Int64
			n := 1 + round*7%23
			p.run(n, func(i int) { sum.Add(int64(i) + 1) })
			if want := int64(n * (n + 1) / 2); sum.Load() != want {
				t.Fatalf("%d threads, step %d: the tasks add up to %d, want %d", threads, round, sum.Load(), want)
			}
			if busy, left := p.busy.n.Load(), p.tickets.n.Load(); busy != 0 || left != 0 {
				t.Fatalf("%d threads, step %d ended with %d helpers busy and %d places free", threads, round, busy, left)
			}
		}
		p.close()
	}
}

// A step waits only for helpers that have joined it, not for one that never comes.
func TestPoolDoesNotWaitForSleepers(t *testing.T) {
	p := newPool(1) // no helper of its own
	p.threads = 3
	var ran atomic.Int32
	p.run(5, func(int) { ran.Add(1) })
	if ran.Load() != 5 {
		t.Errorf("%d of 5 tasks ran", ran.Load())
	}
}

// After a step the pool holds no reference to the step's function, through which all
// memory of its program would stay reachable.
func TestPoolReleasesTheStep(t *testing.T) {
	p := newPool(2)
	defer p.close()
	memory := new([1 << 16]int64)
	gone := weak.Make(memory)
	p.run(10, func(i int) { memory[i]++ })
	runtime.GC()
	if gone.Value() != nil {
		t.Error("the memory of the last step is still there")
	}
}

// A closed device says so, closes again without harm, and still lets a step that comes too late
// end.
func TestClosedDevice(t *testing.T) {
	d, err := New(Options{Threads: 3})
	if err != nil {
		t.Fatal(err)
	}
	if d.Err() != nil {
		t.Error(d.Err())
	}
	var steps sync.WaitGroup
	for range 4 {
		steps.Go(func() {
			for range 200 {
				var done atomic.Int64
				d.pool.run(20, func(int) { done.Add(1) })
				if done.Load() != 20 {
					t.Errorf("%d of 20 tasks were done", done.Load())
				}
			}
		})
	}
	d.Close()
	d.Close()
	steps.Wait()
	if err := d.Err(); err == nil || !strings.Contains(err.Error(), "is closed") {
		t.Errorf("got %v", err)
	}
}

// A step tells its tasks which thread computes them, and no two run on one thread at once.
func TestPoolNamesThreads(t *testing.T) {
	for threads := 1; threads <= 4; threads++ {
		p := newPool(threads)
		computing := make([]atomic.Int32, threads)
		for range 100 {
			p.runOn(20, func(_, thread int) {
				if computing[thread].Add(1) != 1 {
					t.Errorf("%d threads: thread %d computes two tasks at once", threads, thread)
				}
				computing[thread].Add(-1)
			})
		}
		p.close()
	}
}

// Helpers of a pool that has nothing to do sleep, so that an idle device takes no time of the
// processor.
func TestPoolSleepsWhenIdle(t *testing.T) {
	for _, threads := range []int{2, 3, 16} {
		p := newPool(threads)
		p.run(100, func(int) {})
		for deadline := time.Now().Add(time.Minute); p.tickets.asleep.Load() < int64(threads-1); {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d helpers sleep", p.tickets.asleep.Load(), threads-1)
			}
			time.Sleep(time.Millisecond)
		}
		p.close()
	}
}

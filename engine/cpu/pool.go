package cpu

import (
	"sync"
	"sync/atomic"
)

// pool runs the tasks of one step on all threads. Which thread runs a task is
// left to chance; what it computes never depends on that.
type pool struct {
	threads int
	mu      sync.Mutex // one step at a time
	f       func(task int)
	count   int64
	next    atomic.Int64
	wake    chan struct{}
	done    sync.WaitGroup
	failure atomic.Pointer[any] // what a task panicked with
}

func newPool(threads int) *pool {
	p := &pool{threads: threads, wake: make(chan struct{}, threads)}
	for range threads - 1 {
		go func() {
			for range p.wake {
				p.guarded()
			}
		}()
	}
	return p
}

// run calls f for every task below n and returns when all are done.
func (p *pool) run(n int, f func(task int)) {
	if p.threads == 1 || n <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.f, p.count = f, int64(n)
	p.next.Store(0)
	helpers := min(p.threads, n) - 1
	p.done.Add(helpers + 1)
	for range helpers {
		p.wake <- struct{}{}
	}
	p.guarded()
	p.done.Wait()
	if f := p.failure.Swap(nil); f != nil {
		panic(*f)
	}
}

// guarded works until no task is left and keeps a panic until all threads are
// done.
func (p *pool) guarded() {
	defer p.done.Done()
	defer func() {
		if r := recover(); r != nil {
			first := r // a variable of its own, or every call would allocate
			p.failure.CompareAndSwap(nil, &first)
			p.next.Store(p.count) // leave the rest
		}
	}()
	p.work()
}

func (p *pool) work() {
	for {
		i := p.next.Add(1) - 1
		if i >= p.count {
			return
		}
		p.f(int(i))
	}
}

// close ends the pool's goroutines; the pool must not be used afterwards.
func (p *pool) close() { close(p.wake) }

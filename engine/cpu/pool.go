package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// pool runs the tasks of a step on all threads. Any thread may run any task; results
// never depend on which does.
//
// The steps of a small batch take a few microseconds, about as long as waking a sleeping
// thread. So a helper goroutine polls for the next step for a while before it sleeps,
// and a step does not wait for helpers that have not begun when all tasks are taken.
type pool struct {
	threads int
	mu      sync.Mutex // held while a step runs
	f       func(task int)
	count   int64
	next    atomic.Int64
	failure atomic.Pointer[any] // what a task panicked with

	tickets signal // how many more helpers may join the step
	busy    signal // helpers that have joined or may still join; the step ends at 0
	closed  atomic.Bool
}

// signal is a number that goroutines wait on, by polling first and sleeping then.
type signal struct {
	n      atomic.Int64
	asleep atomic.Int64
	wake   chan struct{}
}

// looks is how often a waiting goroutine polls before it sleeps, which takes some tens of
// microseconds.
const looks = 1 << 14

// await returns when ready is true of the number. It polls first if spin is set.
func (s *signal) await(spin bool, ready func(n int64) bool) {
	for i := 0; spin && i < looks; i++ {
		if ready(s.n.Load()) {
			return
		}
	}
	for {
		s.asleep.Add(1)
		done := ready(s.n.Load()) // if not yet, whoever changes n now sees asleep and wakes us
		if !done {
			<-s.wake
		}
		s.asleep.Add(-1)
		if done || ready(s.n.Load()) {
			return
		}
	}
}

// rouse wakes up to most sleepers. A needless wake-up does no harm.
func (s *signal) rouse(most int64) {
	for range min(most, s.asleep.Load()) {
		select {
		case s.wake <- struct{}{}:
		default:
			return // the channel has a wake-up for every sleeper already
		}
	}
}

func newPool(threads int) *pool {
	p := &pool{threads: threads}
	p.tickets.wake = make(chan struct{}, threads)
	p.busy.wake = make(chan struct{}, 1)
	for range threads - 1 {
		go p.help()
	}
	return p
}

// help joins one step after the other until the pool is closed.
func (p *pool) help() {
	taken := func(n int64) bool { return p.closed.Load() || n > 0 && p.tickets.n.CompareAndSwap(n, n-1) }
	for {
		p.tickets.await(p.spins(), taken)
		if p.closed.Load() {
			return
		}
		p.guarded()
		if p.busy.n.Add(-1) == 0 {
			p.busy.rouse(1)
		}
	}
}

// spins reports whether there is a processor for every thread.
func (p *pool) spins() bool { return p.threads <= runtime.GOMAXPROCS(0) }

// over reports whether nobody is busy.
func over(n int64) bool { return n == 0 }

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
	if p.closed.Load() { // nobody helps any more; Device.Err says so
		for i := range n {
			f(i)
		}
		return
	}
	p.f, p.count = f, int64(n)
	p.next.Store(0)
	helpers := int64(min(p.threads, n) - 1)
	p.busy.n.Store(helpers)
	p.tickets.n.Store(helpers)
	p.tickets.rouse(helpers)
	p.guarded()
	// No tasks remain, so withdraw the tickets that no helper took.
	if late := p.tickets.n.Swap(0); late > 0 {
		p.busy.n.Add(-late)
	}
	p.busy.await(p.spins(), over)
	p.f = nil // release the memory that it refers to
	if f := p.failure.Swap(nil); f != nil {
		panic(*f)
	}
}

// guarded runs tasks until none is left. It saves a panic, which run raises again when
// all threads have finished.
func (p *pool) guarded() {
	defer func() {
		if r := recover(); r != nil {
			first := r // a variable of its own, or every call would allocate
			p.failure.CompareAndSwap(nil, &first)
			p.next.Store(p.count) // skip the remaining tasks
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

// close waits for a step that is running and ends the pool's goroutines. Closing a pool twice
// is allowed.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed.Swap(true) {
		close(p.tickets.wake)
	}
}

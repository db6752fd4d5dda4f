package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// pool runs the tasks of a step on all threads. Any thread may run any task; results
// never depend on which does. But each thread begins with a share of its own, neighbouring
// tasks and the same share in every step, so that it mostly reads what it has written before,
// and takes tasks from the shares of others when its own are done.
//
// The steps of a small batch take a few microseconds, about as long as waking a sleeping
// thread. So a helper goroutine polls for the next step for a while before it sleeps,
// and a step does not wait for helpers that have not begun when all tasks are taken.
type pool struct {
	threads int
	mu      sync.Mutex // held while a step runs
	closed  atomic.Bool
	running atomic.Bool            // a step is
	failure atomic.Pointer[any]    // what a task panicked with
	f       func(task int)         // of the step, or
	on      func(task, thread int) // of tasks that ask for their thread
	shares  []share                // one for every thread
	used    int                    // shares of the step

	_       apart
	tickets signal // how many more helpers may join the step
	_       apart
	busy    signal // helpers that have joined or may still join; the step ends at 0
	_       apart
}

// share is the tasks of a step from next to end.
type share struct {
	next atomic.Int64
	end  int64
	_    apart
}

// apart keeps what different threads write in different cache lines, and these in different
// pairs, which processors fetch together.
type apart [128]byte

// signal is a number that goroutines wait on, by polling first and sleeping then.
type signal struct {
	n      atomic.Int64
	asleep atomic.Int64
	wake   chan struct{}
}

// looks is how often a waiting goroutine polls before it sleeps, which takes some tens of
// microseconds. While a step is running it does so at most stretches times, since another step
// probably follows, and waking up takes as long.
const (
	looks     = 1 << 14
	stretches = 16
)

// await returns when ready is true of the number. It polls first if spin is set, and goes on for
// a while if running is.
func (s *signal) await(spin bool, running *atomic.Bool, ready func(n int64) bool) {
	for range stretches {
		for i := 0; spin && i < looks; i++ {
			if ready(s.n.Load()) {
				return
			}
		}
		if !spin || !running.Load() {
			break
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
	p := &pool{threads: threads, shares: make([]share, threads)}
	p.tickets.wake = make(chan struct{}, threads)
	p.busy.wake = make(chan struct{}, 1)
	for i := 1; i < threads; i++ {
		go p.help(i)
	}
	return p
}

// help joins one step after the other until the pool is closed. Its own share is the one with
// that index.
func (p *pool) help(own int) {
	taken := func(n int64) bool { return p.closed.Load() || n > 0 && p.tickets.n.CompareAndSwap(n, n-1) }
	for {
		p.tickets.await(p.spins(), &p.running, taken)
		if p.closed.Load() {
			return
		}
		p.guarded(own)
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
	p.step(n, f, nil)
}

// runOn is run for tasks that use memory of the thread that computes them. Threads count from
// 0, which is the caller.
func (p *pool) runOn(n int, f func(task, thread int)) {
	if p.threads == 1 || n <= 1 {
		for i := range n {
			f(i, 0)
		}
		return
	}
	p.step(n, nil, f)
}

// step runs f or on for every task below n on all threads.
func (p *pool) step(n int, f func(task int), on func(task, thread int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.f, p.on, p.used = f, on, min(len(p.shares), n)
	for i := range p.used {
		p.shares[i].next.Store(int64(n * i / p.used))
		p.shares[i].end = int64(n * (i + 1) / p.used)
	}
	if p.closed.Load() { // nobody helps any more; Device.Err says so
		p.guarded(0)
		p.finish()
		return
	}
	p.running.Store(true)
	helpers := int64(min(p.threads, n) - 1)
	p.busy.n.Store(helpers)
	p.tickets.n.Store(helpers)
	p.tickets.rouse(helpers)
	p.guarded(0)
	// No tasks remain, so withdraw the tickets that no helper took.
	if late := p.tickets.n.Swap(0); late > 0 {
		p.busy.n.Add(-late)
	}
	p.busy.await(p.spins(), &p.running, over)
	p.finish()
}

// finish releases the memory that the step refers to, and raises what a task panicked with.
func (p *pool) finish() {
	p.running.Store(false)
	p.f, p.on = nil, nil
	if f := p.failure.Swap(nil); f != nil {
		panic(*f)
	}
}

// guarded runs tasks until none is left, those of its own share first. It saves a panic, which
// run raises again when all threads have finished.
func (p *pool) guarded(own int) {
	defer func() {
		if r := recover(); r != nil {
			first := r // a variable of its own, or every call would allocate
			p.failure.CompareAndSwap(nil, &first)
			for i := range p.used { // skip the remaining tasks
				p.shares[i].next.Store(p.shares[i].end)
			}
		}
	}()
	for i := range p.used {
		p.work(&p.shares[(own+i)%p.used], own)
	}
}

// work runs the tasks of a share that are left, on a thread.
func (p *pool) work(s *share, thread int) {
	for {
		i := s.next.Add(1) - 1
		if i >= s.end {
			return
		}
		if p.on != nil {
			p.on(int(i), thread)
		} else {
			p.f(int(i))
		}
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

package inference

import (
	"slices"
	"sync"
)

// Turns lets several classifiers compute one at a time, each with all threads of its device, in
// the order in which they ask. While one computes, images for the others gather, and share their next
// batches. The zero value is ready.
type Turns struct {
	mu      sync.Mutex
	taken   bool
	waiting []chan struct{}
}

// Lock waits for the turn. Whoever asked before comes first.
func (t *Turns) Lock() {
	t.mu.Lock()
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
		return
	}
	mine := make(chan struct{})
	t.waiting = append(t.waiting, mine)
	t.mu.Unlock()
	<-mine
}

// Unlock passes the turn on.
func (t *Turns) Unlock() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.taken = false
		return
	}
	next := t.waiting[0]
	t.waiting = slices.Delete(t.waiting, 0, 1)
	close(next)
}

// take is Lock for turns that may be nil, and returns Unlock.
func (t *Turns) take() (leave func()) {
	if t == nil {
		return func() {}
	}
	t.Lock()
	return t.Unlock
}

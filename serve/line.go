package serve

import (
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// line counts the images that were accepted and are not yet answered. It has an end, so that a
// client of an overloaded server hears at once that it must come again.
type line struct {
	most   int64
	inside atomic.Int64
	closed atomic.Bool

	mu   sync.Mutex
	rate float64   // images answered in a second, of late
	last time.Time // when an image was answered last
}

// enter accepts n images, or returns the error for the client. Whoever enters must leave.
func (l *line) enter(n int) error {
	if l.closed.Load() {
		return busy(1, "the server is closing")
	}
	if now := l.inside.Add(int64(n)); now > l.most {
		l.inside.Add(-int64(n))
		if int64(n) > l.most {
			return failure(http.StatusRequestEntityTooLarge, "%d images in one request are more than the queue of this server holds (%d)", n, l.most)
		}
		return busy(l.wait(), "the queue of %d images is full", l.most)
	}
	return nil
}

// leave tells that n images were answered; done says whether they were computed.
func (l *line) leave(n int, done bool) {
	l.inside.Add(-int64(n))
	if !done {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.last.IsZero() {
		const memory = 2.0 // seconds
		since := max(now.Sub(l.last).Seconds(), 1e-6)
		keep := math.Exp(-since / memory)
		l.rate = l.rate*keep + float64(n)/since*(1-keep)
	}
	l.last = now
}

func (l *line) close() { l.closed.Store(true) }

// full reports whether no further image would be accepted.
func (l *line) full() bool { return l.inside.Load() >= l.most }

// wait returns the whole seconds after which a full line is likely to have been answered.
func (l *line) wait() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate <= 0 {
		return 1
	}
	return int(min(max(math.Ceil(float64(l.most)/l.rate), 1), 60))
}

// bodies bounds the memory of the bodies that are being received.
type bodies struct {
	mu   sync.Mutex
	left int64
}

// take reserves n bytes.
func (b *bodies) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}

func (b *bodies) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}

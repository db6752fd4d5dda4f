package serve

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
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

// busy is the error for a client that must come again after so many seconds.
func busy(seconds int, format string, args ...any) *Error {
	e := failure(http.StatusServiceUnavailable, format+"; try again in "+strconv.Itoa(seconds)+" s", args...)
	e.retry = seconds
	return e
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

// read returns the body of a request and a function to call when it is no longer needed. The
// memory is taken as the bytes arrive, so a client that announces much and sends nothing holds none.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (content []byte, release func(), err error) {
	if r.ContentLength > s.options.MaxBody {
		return nil, nil, s.tooLarge()
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.options.ReadTimeout)) // not every ResponseWriter can
	body := http.MaxBytesReader(w, r.Body, s.options.MaxBody)
	held := int64(0)
	release = func() { s.bodies.give(held) }
	defer func() {
		if err != nil {
			release()
			release = nil
		}
	}()
	const least = 64 << 10
	grow := func(to int64) bool {
		if !s.bodies.take(to - held) {
			return false
		}
		bigger := make([]byte, len(content), to)
		copy(bigger, content)
		content, held = bigger, to
		return true
	}
	for {
		if len(content) == cap(content) {
			to := max(2*int64(cap(content)), least)
			if size := r.ContentLength; size >= 0 {
				to = min(to, size+1) // one more, to see the end without growing again
			}
			if !grow(max(to, int64(len(content))+1)) {
				return nil, release, busy(1, "too many requests are being received")
			}
		}
		n, err := body.Read(content[len(content):cap(content)])
		content = content[:len(content)+n]
		if err == io.EOF {
			return content, release, nil
		}
		if err != nil {
			return nil, release, s.unread(err)
		}
	}
}

// acquire takes a decoder's place, or returns the error of ctx.
func (s *Server) acquire(ctx context.Context) (release func(), err error) {
	select {
	case s.decode <- struct{}{}:
		return func() { <-s.decode }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to decode the image: %w", ctx.Err())
	}
}

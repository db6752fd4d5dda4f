package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// read returns the body of a request with images and a function to call when it is no longer
// needed. It refuses at once if the queue is full. The memory is taken as the bytes arrive, so a
// client that announces much and sends nothing holds none; that of a compressed body as it grows, so
// that little that stands for much is refused as if it were much.
func (s *core) read(w http.ResponseWriter, r *http.Request) (content []byte, release func(), err error) {
	if s.line.full() {
		s.meter.refused("full")
		return nil, nil, busy(s.line.wait(), "the queue of %d images is full", s.line.most)
	}
	if r.ContentLength > s.options.MaxBody {
		return nil, nil, tooLarge(s.options.MaxBody)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.options.ReadTimeout)) // not every ResponseWriter can
	body, size, err := unpacked(r, http.MaxBytesReader(w, r.Body, s.options.MaxBody))
	if err != nil {
		return nil, nil, s.unread(err)
	}
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
			if size >= 0 {
				to = min(to, size+1) // one more, to see the end without growing again
			}
			if !grow(max(to, int64(len(content))+1)) {
				return nil, release, busy(1, "too many requests are being received")
			}
		}
		n, err := body.Read(content[len(content):cap(content)])
		content = content[:len(content)+n]
		if int64(len(content)) > s.options.MaxBody {
			return nil, release, tooLarge(s.options.MaxBody)
		}
		if err == io.EOF {
			return content, release, nil
		}
		if err != nil {
			return nil, release, s.unread(err)
		}
	}
}

// acquire takes a decoder's place, or returns the error of ctx.
func (s *core) acquire(ctx context.Context) (release func(), err error) {
	select {
	case s.decode <- struct{}{}:
		return func() { <-s.decode }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to decode the image: %w", ctx.Err())
	}
}

// unread returns the error for a body that could not be read.
func (s *core) unread(err error) error {
	var late net.Error
	var known *Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, new(*http.MaxBytesError)):
		return tooLarge(s.options.MaxBody)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return failure(http.StatusRequestTimeout, "the body did not arrive within %v", s.options.ReadTimeout)
	}
	return failure(http.StatusBadRequest, "the body ended early")
}

// deadline returns the context of a request with the time that it may take.
func (s *core) deadline(r *http.Request) (context.Context, context.CancelFunc, error) {
	limit := s.options.Timeout
	if text := r.Header.Get("X-Request-Timeout"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			d, err = time.ParseDuration(text + "s")
		}
		if err != nil || d <= 0 {
			return nil, nil, failure(http.StatusBadRequest, "X-Request-Timeout: %.40q is no time; give seconds, such as 1.5, or a number with a unit, such as 500ms", text)
		}
		limit = min(limit, d)
	}
	ctx, stop := context.WithTimeout(r.Context(), limit)
	return ctx, stop, nil
}

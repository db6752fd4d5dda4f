package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/number"
)

// Error is the error about a request, with the status of the answer.
type Error struct {
	Status  int
	Message string
	retry   int // seconds; 0 for none
}

func (e *Error) Error() string { return e.Message }

func failure(status int, format string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

func (s *Server) tooLarge() *Error {
	return failure(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", s.options.MaxBody)
}

// unread returns the error for a body that could not be read.
func (s *Server) unread(err error) error {
	var late net.Error
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return s.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return failure(http.StatusRequestTimeout, "the body did not arrive within %v", s.options.ReadTimeout)
	}
	return failure(http.StatusBadRequest, "the body ended early")
}

// statusClosed is nginx's status for a client that has gone; only the log and the metrics see it.
const statusClosed = 499

// explained returns what the client is told of an error. Only what is wrong with the request is told in full;
// of the rest the log has more.
func explained(err error) *Error {
	var known *Error
	var image *inference.ImageError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &image):
		return failure(http.StatusUnsupportedMediaType, "%s", image.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return failure(http.StatusGatewayTimeout, "the time for this request is over")
	case errors.Is(err, context.Canceled):
		return failure(statusClosed, "the client has gone")
	case errors.Is(err, inference.ErrClosed):
		return busy(1, "the server is closing")
	}
	return failure(http.StatusInternalServerError, "the server could not answer; its log has the reason under the id")
}

// told is the body of an answer that reports an error. Clients of the Open Inference Protocol
// read its first field.
type told struct {
	Error string `json:"error"`
	ID    string `json:"id"`
}

// identity names a request in the answer and in the log.
func identity(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && len(id) <= 64 && printable(id) {
		return id
	}
	return rand.Text()[:16]
}

func printable(text string) bool {
	for _, b := range []byte(text) {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return true
}

// watcher is a ResponseWriter that knows the status of the answer.
type watcher struct {
	http.ResponseWriter
	status int
	id     string
}

func (w *watcher) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *watcher) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watcher) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// recovering answers with the errors of h, counts and logs the request, and lets a panic cost
// this request alone.
func (s *Server) recovering(pattern string, h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(plain http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		w := &watcher{ResponseWriter: plain, id: identity(r)}
		w.Header().Set("X-Request-Id", w.id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		var err error
		func() {
			defer func() {
				if p := recover(); p != nil {
					if p == http.ErrAbortHandler {
						panic(p)
					}
					err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				}
			}()
			err = h(w, r)
		}()
		if err != nil {
			s.refuse(w, r, err)
		}
		s.meter.request(pattern, w.status)
		s.options.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("id", w.id), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", w.status), slog.Duration("took", time.Since(begun)), slog.String("from", r.RemoteAddr))
	})
}

// refuse answers with an error.
func (s *Server) refuse(w *watcher, r *http.Request, err error) {
	e := explained(err)
	if e.Status == http.StatusInternalServerError {
		s.options.Log.Error("a request failed", "id", w.id, "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if w.status != 0 { // the answer has begun
		return
	}
	if e.Status == statusClosed {
		w.status = statusClosed
		return
	}
	if e.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.retry))
	}
	_ = answer(w, e.Status, told{e.Message, w.id})
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) error {
	var b bytes.Buffer
	if err := number.Write(&b, v, ""); err != nil {
		return err
	}
	if b.Len() == 0 || b.Bytes()[b.Len()-1] != '\n' {
		b.WriteByte('\n')
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client may have gone
	return nil
}

// parsed reads JSON and explains what is wrong with it.
func parsed(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return failure(http.StatusBadRequest, "the body is not the JSON of this request: %v", err)
	}
	return nil
}

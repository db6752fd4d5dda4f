package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

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

func tooLarge(most int64) *Error {
	return failure(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", most)
}

// busy is the error for a client that must come again after so many seconds.
func busy(seconds int, format string, args ...any) *Error {
	e := failure(http.StatusServiceUnavailable, format+"; try again in "+strconv.Itoa(seconds)+" s", args...)
	e.retry = seconds
	return e
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
	send(w, status, b.Bytes())
	return nil
}

// parsed reads JSON and explains what is wrong with it.
func parsed(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return failure(http.StatusBadRequest, "the body is not the JSON of this request: %v", err)
	}
	return nil
}

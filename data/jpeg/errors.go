package jpeg

import (
	"errors"
	"fmt"
)

// ErrUnsupported is wrapped in the error for a file of a kind that this package does not decode.
var ErrUnsupported = errors.New("unsupported JPEG")

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("damaged JPEG: "+format, args...)
}

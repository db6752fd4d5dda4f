package photo

import (
	"errors"
	"fmt"
	"io"

	"github.com/residual-ml/residual/data/jpeg"
)

// errUnsupported is wrapped in the error for an intact file of a kind that is not decoded.
var errUnsupported = errors.New("unsupported")

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUnsupported, fmt.Sprintf(format, args...))
}

func damaged(format string, args ...any) error { return fmt.Errorf(format, args...) }

// atEnd converts io.EOF to io.ErrUnexpectedEOF, since inside the data the file is cut short.
func atEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// undecodable adds the format and the next step to the error of a decoder.
func undecodable(format string, err error) error {
	switch {
	case errors.Is(err, jpeg.ErrUnsupported):
		return fmt.Errorf("is a %s file of a kind that is not read (%w); save it as a usual JPEG file, or convert it to PNG", format, err)
	case errors.Is(err, errUnsupported):
		return fmt.Errorf("is a %s file of a kind that is not read (%w); convert it to JPEG or PNG", format, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("is a %s file that cannot be decoded (%w); it is cut short: give another copy", format, err)
	}
	return fmt.Errorf("is a %s file that cannot be decoded (%w); it is damaged: give another copy", format, err)
}

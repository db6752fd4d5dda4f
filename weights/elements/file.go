package elements

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"unicode/utf8"

	"github.com/residual-ml/residual/internal/regular"
)

// OpenFile opens the file at path and returns its size. suffix names the kind of file in
// errors, such as .safetensors. The caller closes the file.
func OpenFile(path, suffix string) (*os.File, int64, error) {
	f, err := regular.Open(path)
	switch {
	case errors.Is(err, regular.ErrKind):
		return nil, 0, fmt.Errorf("%w; give the path of a %s file", err, suffix)
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, fmt.Errorf("%w; check the path of the model file", err)
	case err != nil:
		return nil, 0, fmt.Errorf("%w; check the path of the model file and its permissions", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// ReadFull fills p with the bytes of r from offset at.
func ReadFull(r io.ReaderAt, p []byte, at int64) error {
	if n, err := r.ReadAt(p, at); n < len(p) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading %d bytes at %d: %w; copy or download the file again", len(p), at, err)
	}
	return nil
}

// Quote quotes a name from a file for an error message, and shortens a long one.
func Quote(s string) string {
	const most = 100
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		return strconv.Quote(s[:cut]) + "…"
	}
	return strconv.Quote(s)
}

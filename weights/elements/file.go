package elements

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode/utf8"
)

// OpenFile opens the file at path and returns its size. suffix names the kind of
// file, .safetensors or another, in errors. The caller closes it.
func OpenFile(path, suffix string) (*os.File, int64, error) {
	// Looked at before it is opened, because opening a named pipe would wait for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, fmt.Errorf("%w; check the path of the model file", err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: not a regular file; give the path of a %s file", path, suffix)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("%w; check the path of the model file and its permissions", err)
	}
	return f, info.Size(), nil
}

// ReadFull fills p with the bytes at an offset of r.
func ReadFull(r io.ReaderAt, p []byte, at int64) error {
	if n, err := r.ReadAt(p, at); n < len(p) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading %d bytes at %d: %w; copy or download the file again", len(p), at, err)
	}
	return nil
}

// Quote quotes a name of a file for an error, and cuts it when it is long.
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

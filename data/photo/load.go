package photo

import (
	"fmt"
	"io"
	"io/fs"

	"github.com/residual-ml/residual/internal/regular"
)

// Load returns the content of a file, for Decode, and its file information. The error names the
// file.
func Load(path string, o Options) ([]byte, fs.FileInfo, error) {
	limit := o.maxFileBytes()
	f, err := regular.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("image: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("image: %w", err)
	case st.Size() > limit:
		return nil, nil, fmt.Errorf("image %s: has %d MB, where %d are possible; make it smaller first", path, st.Size()>>20, limit>>20)
	}
	content, err := LoadFrom(f, o)
	if err != nil {
		return nil, nil, fmt.Errorf("image %s: %w", path, err)
	}
	return content, st, nil
}

// LoadFrom returns the content of a file that r reads to its end, for Decode. More than
// MaxFileBytes are a *TooManyBytesError.
func LoadFrom(r io.Reader, o Options) ([]byte, error) {
	limit := o.maxFileBytes()
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if int64(len(content)) > limit {
		return nil, &TooManyBytesError{limit}
	}
	return content, nil
}

// TooManyBytesError is the error for a file that has more bytes than Options.MaxFileBytes.
type TooManyBytesError struct{ MaxFileBytes int64 }

func (e *TooManyBytesError) Error() string {
	return fmt.Sprintf("has more than the %d bytes that are possible; make it smaller first", e.MaxFileBytes)
}

func (o Options) maxFileBytes() int64 {
	if o.MaxFileBytes == 0 {
		return 128 << 20
	}
	return o.MaxFileBytes
}

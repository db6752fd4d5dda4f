package photo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/residual-ml/residual/internal/regular"
)

// Load returns the content of a file, for Decode, and its file information. The error names the
// file.
func Load(path string, o Options) ([]byte, fs.FileInfo, error) {
	limit := o.MaxFileBytes
	if limit == 0 {
		limit = 128 << 20
	}
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
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = errors.New("grew while it was read")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("image %s: %w", path, err)
	}
	return content, st, nil
}

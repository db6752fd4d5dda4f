package photo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/residual-ml/residual/internal/regular"
)

// Load returns a file's content, to be decoded, and what the file system says of it.
// The error names the file.
func Load(path string, o Options) ([]byte, fs.FileInfo, error) {
	most := o.MaxFileBytes
	if most == 0 {
		most = 128 << 20
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
	case st.Size() > most:
		return nil, nil, fmt.Errorf("image %s: has %d MB, where %d are possible; make it smaller first", path, st.Size()>>20, most>>20)
	}
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(content)) > most {
		err = errors.New("grew while it was read")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("image %s: %w", path, err)
	}
	return content, st, nil
}

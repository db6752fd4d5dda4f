package folder

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
)

// read reads and decodes the image, or the part of it that choose returns, and updates the mark
// of the item. The image counts against the memory budget until the caller calls release. After
// an error it does not count, and release is nil.
func (it *Item) read(o Options, choose func(height, width int) transforms.Crop) (m transforms.Image, info photo.Info, release func(), err error) {
	content, err := it.load(o.photo())
	if err != nil {
		return m, info, nil, err
	}
	return it.decode(content, o, choose)
}

// load reads the file and updates the mark of the item.
func (it *Item) load(o photo.Options) ([]byte, error) {
	begun := time.Now()
	content, st, err := photo.Load(it.Path, o)
	if err != nil {
		return nil, err
	}
	if !it.Mark.matches(it.Path, st) {
		sum := sha256.Sum256(content)
		it.Mark = Mark{st.Size(), st.ModTime(), hex.EncodeToString(sum[:]), identityAt(it.Path, st, begun)}
	}
	return content, nil
}

// decode is read for the content of a file.
func (it *Item) decode(content []byte, o Options, choose func(height, width int) transforms.Crop) (m transforms.Image, info photo.Info, release func(), err error) {
	p := o.photo()
	if release, err = o.Memory.Hold(content, p); err != nil {
		return m, info, nil, fmt.Errorf("image %s: %w", it.Path, err)
	}
	if m, info, err = photo.DecodePart(content, p, choose); err != nil {
		release()
		return m, info, nil, fmt.Errorf("image %s: %w", it.Path, err)
	}
	return m, info, release, nil
}

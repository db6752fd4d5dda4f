package folder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
)

// Mark tells whether a file is still the one that was read before.
type Mark struct {
	Bytes    int64
	Modified time.Time
	SHA256   string // of the content, in hexadecimal; empty means that the file was never read
}

// ErrChanged is a picture that is not the one that was read before. Whatever was made
// of it since is of neither.
var ErrChanged = errors.New("has changed since it was first read")

// differs compares a file's mark with what it was. A file that was never read differs
// from none.
func (was Mark) differs(is Mark, path string) error {
	if was.SHA256 == "" || was.SHA256 == is.SHA256 {
		return nil
	}
	return fmt.Errorf("image %s: %w", path, ErrChanged)
}

// read decodes the picture, or the part of it that choose returns, and marks it. It holds a
// part of the budget until release is called, which is after the last use of the picture in
// its full size; with an error nothing is held.
func (it *Item) read(o Options, choose func(height, width int) transforms.Crop) (m transforms.Image, info photo.Info, release func(), err error) {
	p := o.photo()
	content, st, err := photo.Load(it.Path, p)
	if err != nil {
		return m, info, nil, err
	}
	// Where the size and the time are those of the mark, so is the content.
	if m := it.Mark; m.SHA256 == "" || m.Bytes != st.Size() || !m.Modified.Equal(st.ModTime()) {
		it.Mark = markOf(content, st)
	}
	if release, err = o.Memory.Hold(content, p); err != nil {
		return m, info, nil, fmt.Errorf("image %s: %w", it.Path, err)
	}
	if m, info, err = photo.DecodePart(content, p, choose); err != nil {
		release()
		return m, info, nil, fmt.Errorf("image %s: %w", it.Path, err)
	}
	return m, info, release, nil
}

func markOf(content []byte, st fs.FileInfo) Mark {
	sum := sha256.Sum256(content)
	return Mark{st.Size(), st.ModTime(), hex.EncodeToString(sum[:])}
}

// Changed lists, a line each, what on the disk is no longer as the index has it: a
// picture that is gone or has other content than Check found, and, of a list, a label,
// a part or a line that is another. A file that was written anew with the same content
// is the same, and a new picture is no change: it is not in the index.
func (x *Index) Changed(ctx context.Context) ([]string, error) {
	var changes []string
	for i := range x.Items {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := x.Items[i].changed(); err != nil {
			changes = append(changes, err.Error())
		}
	}
	if x.list == "" {
		return changes, nil
	}
	now, err := scan(x.list, nil)
	if err != nil {
		return append(changes, err.Error()), nil
	}
	return append(changes, x.relabelled(now)...), nil
}

// changed looks at the file's size and time, and reads it only when they are others.
func (it *Item) changed() error {
	st, err := os.Stat(it.Path)
	if err != nil {
		return fmt.Errorf("image %s: is no longer there: %w", it.Path, err)
	}
	if m := it.Mark; m.SHA256 == "" || m.Bytes == st.Size() && m.Modified.Equal(st.ModTime()) {
		return nil
	}
	content, st, err := photo.Load(it.Path, photo.Options{})
	if err != nil {
		return err
	}
	now := markOf(content, st)
	if err := it.Mark.differs(now, it.Path); err != nil {
		return err
	}
	it.Mark = now
	return nil
}

// relabelled compares with the list as it is now.
func (x *Index) relabelled(now *Index) (changes []string) {
	listed := make(map[string]Item, len(now.Items))
	for _, it := range now.Items {
		listed[it.Name] = it
	}
	for _, it := range x.Items {
		n, ok := listed[it.Name]
		switch {
		case !ok:
			changes = append(changes, fmt.Sprintf("list %s: %s is no longer in it", x.list, it.Name))
		case now.Classes[n.Label] != x.Classes[it.Label]:
			changes = append(changes, fmt.Sprintf("list %s: %s is %q now, and was %q", x.list, it.Name, now.Classes[n.Label], x.Classes[it.Label]))
		case x.Tested && n.Split != it.Split:
			changes = append(changes, fmt.Sprintf("list %s: %s is in the part %s now, and was in %s", x.list, it.Name, n.Split, it.Split))
		}
	}
	return changes
}

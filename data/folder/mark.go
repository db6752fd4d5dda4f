package folder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/promptly"
)

// Mark tells whether a file is still the one that was read before.
type Mark struct {
	Bytes    int64
	Modified time.Time
	SHA256   string // of the content, in hexadecimal; empty means that the file was never read
	// Identity is what the file system had when the content was read, where it can tell the
	// file from any other and from itself with other content; else it is empty.
	Identity string `json:",omitempty"`
}

// ErrChanged is an image that is not the one that was read before. Whatever was made
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

// read decodes the image, or the part of it that choose returns, and marks it. It holds a
// part of the budget until release is called, which is after the last use of the image in
// its full size; with an error nothing is held.
func (it *Item) read(o Options, choose func(height, width int) transforms.Crop) (m transforms.Image, info photo.Info, release func(), err error) {
	content, err := it.load(o.photo())
	if err != nil {
		return m, info, nil, err
	}
	return it.decode(content, o, choose)
}

// load reads the file and marks the item as what it holds.
func (it *Item) load(o photo.Options) ([]byte, error) {
	begun := time.Now()
	content, st, err := photo.Load(it.Path, o)
	if err != nil {
		return nil, err
	}
	if !it.Mark.is(it.Path, st) {
		sum := sha256.Sum256(content)
		it.Mark = Mark{st.Size(), st.ModTime(), hex.EncodeToString(sum[:]), identityAt(it.Path, st, begun)}
	}
	return content, nil
}

// decode is read for a file's content.
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

// Changed lists, a line each, what on the disk is no longer as the index has it: a
// image that is gone or has other content than Check found, and, of a list, a label,
// a part or a line that is another. A file that was written anew with the same content
// is the same, and a new image is no change: it is not in the index. It reads every file
// that the file system cannot tell to be the one that was marked.
func (x *Index) Changed(ctx context.Context) ([]string, error) { return x.changes(ctx, false) }

// ChangedMeanwhile is Changed for a look in passing, while the same program reads the files
// and compares their content anyway: a file of the same size and time is not read.
func (x *Index) ChangedMeanwhile(ctx context.Context) ([]string, error) { return x.changes(ctx, true) }

func (x *Index) changes(ctx context.Context, passing bool) ([]string, error) {
	lines := make([]string, len(x.Items))
	err := each(ctx, len(x.Items), func(i int) {
		if err := x.Items[i].changed(passing); err != nil {
			lines[i] = err.Error()
		}
	})
	if err != nil {
		return nil, err
	}
	changes := slices.DeleteFunc(lines, func(line string) bool { return line == "" })
	if x.list == "" {
		return changes, nil
	}
	now, err := promptly.Result(ctx, func() (*Index, error) { return scanBy(x.list, nil, x.columns) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return append(changes, err.Error()), nil
	}
	return append(changes, x.relabelled(now)...), nil
}

// each calls work for each of n items, on all cores and in no order, until the context ends.
func each(ctx context.Context, n int, work func(i int)) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				work(i)
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

// changed compares the file with its mark.
func (it *Item) changed(passing bool) error {
	st, err := os.Stat(it.Path)
	if err != nil {
		return fmt.Errorf("image %s: is no longer there: %w", it.Path, err)
	}
	m := it.Mark
	if m.SHA256 == "" || m.is(it.Path, st) || passing && m.Identity == "" && m.looksLike(st) {
		return nil
	}
	now := Item{Path: it.Path}
	if _, err := now.load(photo.Options{}); err != nil {
		return err
	}
	if err := m.differs(now.Mark, it.Path); err != nil {
		return err
	}
	it.Mark = now.Mark
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

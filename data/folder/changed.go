package folder

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/internal/promptly"
)

// Changed describes, in one line each, how the files differ from the index: images that are
// missing or have other content than Check found and, for a list, labels, splits and lines
// that have changed. A file that was rewritten with the same content has not changed. New
// images are ignored, since they are not in the index. Changed reads every file unless the
// file system proves that it has not changed.
func (x *Index) Changed(ctx context.Context) ([]string, error) { return x.changes(ctx, false) }

// ChangedMeanwhile is a quick version of Changed, for a program that reads the files and
// compares their content anyway: it does not read files with the same size and time.
func (x *Index) ChangedMeanwhile(ctx context.Context) ([]string, error) { return x.changes(ctx, true) }

func (x *Index) changes(ctx context.Context, quick bool) ([]string, error) {
	lines := make([]string, len(x.Items))
	err := each(ctx, len(x.Items), func(i int) {
		if err := x.Items[i].changed(quick); err != nil {
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

// changed returns an error if the file differs from its mark.
func (it *Item) changed(quick bool) error {
	st, err := os.Stat(it.Path)
	if err != nil {
		return fmt.Errorf("image %s: is no longer there: %w", it.Path, err)
	}
	m := it.Mark
	if m.SHA256 == "" || m.matches(it.Path, st) || quick && m.Identity == "" && m.sameSizeAndTime(st) {
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

// relabelled describes the differences from the list as it is now.
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

// each calls work for each of n items, concurrently and in any order, until the context ends.
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

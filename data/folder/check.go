package folder

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/photo"
)

// Report is what Check found in an index.
type Report struct {
	Name    string        `json:"name"`
	Root    string        `json:"root"`
	Classes []ClassReport `json:"classes"`
	// Tested says that the user chose the images to test on.
	Tested bool `json:"tested"`
	// Layout and Notes are the index's.
	Layout  []Part         `json:"parts,omitempty"`
	Notes   []string       `json:"notes,omitempty"`
	Formats map[string]int `json:"formats"`          // images of each
	Turned  []string       `json:"turned,omitempty"` // images that EXIF data turns upright
	// The smallest and the largest height and width there are, of upright images.
	Height [2]int    `json:"height"`
	Width  [2]int    `json:"width"`
	Broken []Problem `json:"broken,omitempty"`
	Others []string  `json:"others,omitempty"` // files that are no images by their name
	Tiny   []string  `json:"tiny,omitempty"`   // images with a side below TinySide
	// Copies lists files of the same content, by name.
	Copies [][]string `json:"copies,omitempty"`
	// Alike lists near-duplicates, copies among them, by name.
	Alike [][]string `json:"alike,omitempty"`
	// Leaks are those of them that lie in both parts, Contradictory those in two classes.
	Leaks         [][]string `json:"leaks,omitempty"`
	Contradictory [][]string `json:"contradictory,omitempty"`
}

// TinySide is the side, in pixels, below which an image shows little to learn from.
const TinySide = 32

// Imbalance returns by how many times the largest class to train on is larger than the
// smallest, and the two.
func (r *Report) Imbalance() (ratio float64, least, most ClassReport) {
	if len(r.Classes) == 0 {
		return 1, least, most
	}
	least, most = r.Classes[0], r.Classes[0]
	for _, c := range r.Classes[1:] {
		if c.Train < least.Train {
			least = c
		}
		if c.Train > most.Train {
			most = c
		}
	}
	return float64(most.Train) / float64(max(1, least.Train)), least, most
}

// ClassReport counts a class's images.
type ClassReport struct {
	Name  string `json:"name"`
	Train int    `json:"train"`
	Test  int    `json:"test"`
}

// Problem is an image that cannot be read.
type Problem struct {
	Name  string `json:"name"`
	Error string `json:"error"`
	// Pixels is how many the image has where they are more than Options.MaxPixels, which
	// is what is wrong with it; else 0.
	Pixels int64 `json:"pixels,omitempty"`
}

func problemOf(name string, err error) Problem {
	p := Problem{Name: name, Error: err.Error()}
	if large := (*photo.TooLargeError)(nil); errors.As(err, &large) {
		p.Pixels = large.Pixels()
	}
	return p
}

// Check reads every image, and marks it; those that o.Pack has it takes from there, and
// the others it adds. The error is the context's alone: what is
// wrong with an image is in the Report. progress, when not nil, hears how many are done;
// its calls do not overlap. groupOf is what Index.Groups returns, found on the way.
func (x *Index) Check(ctx context.Context, o Options, progress func(done, total int)) (r *Report, groupOf []int, err error) {
	o = o.defaults()
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	o.Context = ctx
	all, looks := make([]found, len(x.Items)), make([]look, len(x.Items))
	var next atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	done := 0
	for range min(runtime.GOMAXPROCS(0), len(x.Items)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(x.Items) || ctx.Err() != nil {
					return
				}
				all[i], looks[i] = x.examine(i, o)
				mu.Lock()
				if done++; progress != nil {
					progress(done, len(x.Items))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	o.Cache.finish(x)
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	r = &Report{Name: x.Name, Root: x.Root, Tested: x.Tested, Layout: x.Layout, Notes: x.Notes, Formats: map[string]int{}, Others: x.Others}
	train, test := x.Counts(data.Train), x.Counts(data.Test)
	for i, name := range x.Classes {
		if x.targeted() { // these are no classes
			break
		}
		r.Classes = append(r.Classes, ClassReport{name, train[i], test[i]})
	}
	for i, f := range all {
		if f.err != nil {
			r.Broken = append(r.Broken, problemOf(x.Items[i].Name, f.err))
			continue
		}
		r.Formats[f.info.Format]++
		if f.info.Orientation > 1 {
			r.Turned = append(r.Turned, x.Items[i].Name)
		}
		if min(f.h, f.w) < TinySide {
			r.Tiny = append(r.Tiny, x.Items[i].Name)
		}
		widen(&r.Height, f.h)
		widen(&r.Width, f.w)
	}
	if groupOf, err = groups(ctx, looks); err != nil {
		return nil, nil, err
	}
	x.compare(r, groupOf)
	x.copies(r)
	return r, groupOf, nil
}

// found is what one image is.
type found struct {
	info photo.Info
	h, w int
	err  error
}

// examine reads an image and marks it, or takes what the cache knows of it.
func (x *Index) examine(i int, o Options) (found, look) {
	it := &x.Items[i]
	q, mark := o.Cache.find(it)
	start := time.Now()
	var content []byte
	if q == nil {
		var err error
		if content, err = it.load(photo.Options{}); err != nil {
			return found{err: err}, look{}
		}
		mark = it.Mark
		q = o.Cache.withContent(mark.SHA256)
	}
	if q != nil {
		it.Mark = mark
		return found{info: q.Info, h: q.Height, w: q.Width}, q.look()
	}
	m, info, release, err := it.decode(content, o, nil)
	if err != nil {
		return found{info: info, err: err}, look{}
	}
	defer release()
	took, l := time.Since(start), lookOf(m)
	o.Cache.keep(x, it, m, info, l, took)
	return found{info: info, h: m.Height, w: m.Width}, l
}

func widen(span *[2]int, v int) {
	if span[0] == 0 || v < span[0] {
		span[0] = v
	}
	span[1] = max(span[1], v)
}

// compare lists the groups of more than one image.
func (x *Index) compare(r *Report, groupOf []int) {
	members := map[int][]int{}
	for i, g := range groupOf {
		members[g] = append(members[g], i)
	}
	for g := range groupOf { // in order
		m := members[g]
		if len(m) < 2 {
			continue
		}
		var names []string
		splits, labels := map[data.Split]bool{}, map[int]bool{}
		for _, i := range m {
			names = append(names, x.Items[i].Name)
			splits[x.Items[i].Split], labels[x.Items[i].Label] = true, true
		}
		r.Alike = append(r.Alike, names)
		if len(splits) > 1 {
			r.Leaks = append(r.Leaks, names)
		}
		if len(labels) > 1 {
			r.Contradictory = append(r.Contradictory, names)
		}
	}
}

// copies lists the images whose files are the same to the byte.
func (x *Index) copies(r *Report) {
	at := map[string]int{} // digest → place in all
	var all [][]string
	for _, it := range x.Items {
		if it.Mark.SHA256 == "" {
			continue
		}
		i, ok := at[it.Mark.SHA256]
		if !ok {
			i = len(all)
			at[it.Mark.SHA256] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], it.Name)
	}
	for _, names := range all {
		if len(names) > 1 {
			r.Copies = append(r.Copies, names)
		}
	}
}

// Groups finds near-duplicates: for each item the number of the first image that
// shows the same, or its own. It reads every image; one that cannot be read is alone.
func (x *Index) Groups(ctx context.Context, o Options, progress func(done, total int)) ([]int, error) {
	_, groupOf, err := x.Check(ctx, o, progress)
	return groupOf, err
}

var _ data.Images = (*Set)(nil)

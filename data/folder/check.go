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
	"github.com/residual-ml/residual/task"
)

// Report is the result of Index.Check. Images are listed by name.
type Report struct {
	Name    string        `json:"name"`
	Root    string        `json:"root"`
	Classes []ClassReport `json:"classes"`
	// Task is what the images have in place of classes, and Labels counts the images of each
	// label; see Index.Targets.
	Task   task.Task     `json:"task,omitempty"`
	Labels []ClassReport `json:"labels,omitempty"`
	// Tested reports whether the user chose the test images.
	Tested bool `json:"tested"`
	// Layout and Notes are those of the index.
	Layout  []Part         `json:"parts,omitempty"`
	Notes   []string       `json:"notes,omitempty"`
	Formats map[string]int `json:"formats"`          // the number of images by format
	Turned  []string       `json:"turned,omitempty"` // images that EXIF data rotates or mirrors
	// Height and Width are the smallest and the largest height and width of the images, after
	// EXIF orientation.
	Height [2]int    `json:"height"`
	Width  [2]int    `json:"width"`
	Broken []Problem `json:"broken,omitempty"` // images that cannot be read
	Others []string  `json:"others,omitempty"` // files whose names are not those of images
	Tiny   []string  `json:"tiny,omitempty"`   // images with a side below TinySide
	// Copies lists groups of files with the same content.
	Copies [][]string `json:"copies,omitempty"`
	// Alike lists groups of near-duplicates, which include copies.
	Alike [][]string `json:"alike,omitempty"`
	// Leaks lists the near-duplicates that are in both splits, Contradictory those that are in
	// different classes.
	Leaks         [][]string `json:"leaks,omitempty"`
	Contradictory [][]string `json:"contradictory,omitempty"`
}

// TinySide is the side in pixels below which an image shows little to learn from.
const TinySide = 32

// Imbalance returns the classes with the fewest and the most training images and the ratio of
// their sizes.
func (r *Report) Imbalance() (ratio float64, smallest, largest ClassReport) {
	if len(r.Classes) == 0 {
		return 1, smallest, largest
	}
	smallest, largest = r.Classes[0], r.Classes[0]
	for _, c := range r.Classes[1:] {
		if c.Train < smallest.Train {
			smallest = c
		}
		if c.Train > largest.Train {
			largest = c
		}
	}
	return float64(largest.Train) / float64(max(1, smallest.Train)), smallest, largest
}

// ClassReport counts the images of a class.
type ClassReport struct {
	Name  string `json:"name"`
	Train int    `json:"train"`
	Test  int    `json:"test"`
}

// Problem is an image that cannot be read.
type Problem struct {
	Name  string `json:"name"`
	Error string `json:"error"`
	// Pixels is the number of pixels of the image when it exceeds Options.MaxPixels and is
	// the problem; otherwise it is 0.
	Pixels int64 `json:"pixels,omitempty"`
}

func problemOf(name string, err error) Problem {
	p := Problem{Name: name, Error: err.Error()}
	if large := (*photo.TooLargeError)(nil); errors.As(err, &large) {
		p.Pixels = large.Pixels()
	}
	return p
}

// Check reads every image and records its Mark. It takes images from o.Cache where they are
// cached, and adds the others to it. Problems of images are in the Report; the error is that
// of the context or of invalid options. progress, when not nil, is called with the number of
// images that are done; its calls do not overlap. groupOf is the result of Index.Groups.
func (x *Index) Check(ctx context.Context, o Options, progress func(done, total int)) (r *Report, groupOf []int, err error) {
	o = o.defaults()
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	o.Context = ctx
	all, fingerprints := make([]examined, len(x.Items)), make([]fingerprint, len(x.Items))
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
				all[i], fingerprints[i] = x.examine(i, o)
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
	if r.Task = x.Targets.Task; r.Task == task.Labels {
		train, test := x.CountLabels(data.Train), x.CountLabels(data.Test)
		for i, name := range x.Targets.Names {
			r.Labels = append(r.Labels, ClassReport{name, train[i], test[i]})
		}
	}
	for i, name := range x.Classes {
		if x.targeted() { // Classes lists targets, not classes
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
	if groupOf, err = groups(ctx, fingerprints); err != nil {
		return nil, nil, err
	}
	x.compare(r, groupOf)
	x.copies(r)
	return r, groupOf, nil
}

// examined is the result of examining one image.
type examined struct {
	info photo.Info
	h, w int
	err  error
}

// examine reads an image and records its mark, or takes both from the cache.
func (x *Index) examine(i int, o Options) (examined, fingerprint) {
	it := &x.Items[i]
	q, mark := o.Cache.find(it)
	start := time.Now()
	var content []byte
	if q == nil {
		var err error
		if content, err = it.load(photo.Options{}); err != nil {
			return examined{err: err}, fingerprint{}
		}
		mark = it.Mark
		q = o.Cache.withContent(mark.SHA256)
	}
	if q != nil {
		it.Mark = mark
		return examined{info: q.Info, h: q.Height, w: q.Width}, q.fingerprint()
	}
	m, info, release, err := it.decode(content, o, nil)
	if err != nil {
		return examined{info: info, err: err}, fingerprint{}
	}
	defer release()
	took, l := time.Since(start), fingerprintOf(m)
	o.Cache.add(x, it, m, info, l, took)
	return examined{info: info, h: m.Height, w: m.Width}, l
}

// widen extends the range span so that it includes v.
func widen(span *[2]int, v int) {
	if span[0] == 0 || v < span[0] {
		span[0] = v
	}
	span[1] = max(span[1], v)
}

// compare adds the groups with more than one image to the report.
func (x *Index) compare(r *Report, groupOf []int) {
	members := map[int][]int{}
	for i, g := range groupOf {
		members[g] = append(members[g], i)
	}
	for g := range groupOf { // in a fixed order
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

// copies adds the images whose files have the same content to the report.
func (x *Index) copies(r *Report) {
	at := map[string]int{} // digest → index in all
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

// Groups finds near-duplicates. It returns, for each item, the index of the first item of its
// group, which is its own index if there is no other. It reads every image; an image that
// cannot be read is a group of its own.
func (x *Index) Groups(ctx context.Context, o Options, progress func(done, total int)) ([]int, error) {
	_, groupOf, err := x.Check(ctx, o, progress)
	return groupOf, err
}

package folder

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// Open scans a folder or a list and returns its training set and its test set, as the user
// divided the images, or else by Index.Holdout.
func Open(ctx context.Context, path string, o Options) (train, test *Set, err error) {
	x, err := ScanContext(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	o = o.defaults()
	var groups []int
	if o.Together && !x.Tested {
		if groups, err = x.Groups(ctx, o, nil); err != nil {
			return nil, nil, err
		}
	}
	if err := x.Holdout(o.Holdout, o.Seed, groups); err != nil {
		return nil, nil, err
	}
	if train, err = x.Set(data.Train, o); err != nil {
		return nil, nil, err
	}
	test, err = x.Set(data.Test, o)
	return train, test, err
}

// Set is one split of an index. It is a data.Dataset of Options.Size by Options.Size pixels
// and implements data.Images, data.ImageParts, data.ImageLender, data.Described and
// data.Cacher. It decodes an image on first use and caches it if Options.CacheBytes allows.
type Set struct {
	o     Options
	info  data.Info
	items []Item

	classes []string // the classes of the index, which are targets in a set of labels or values

	small, full cache // images as Get and as Image return them
	mu          sync.Mutex
	broken      map[int]error
}

// Set returns one split of the index. It does not read images.
func (x *Index) Set(split data.Split, o Options) (*Set, error) {
	o = o.defaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	if !o.Cache.Fits(o) {
		panic(tensor.Misusef("folder: a decoded-image cache with %s for a set with %s", o.Cache.settings, o.format().cacheSettings()))
	}
	s := &Set{o: o, broken: map[int]error{}, info: data.Info{
		Name: x.Name, Classes: x.Classes, Channels: o.Channels, Height: o.Size, Width: o.Size,
	}}
	if s.classes = x.Classes; x.targeted() {
		s.info.Classes, s.info.Targets = nil, x.Targets
	}
	for _, it := range x.Items {
		if it.Split == split {
			s.items = append(s.items, it)
		}
	}
	if n := len(s.items); o.MaxImages > 0 && o.MaxImages < n {
		for i := range o.MaxImages {
			s.items[i] = s.items[i*n/o.MaxImages]
		}
		s.items = s.items[:o.MaxImages]
	}
	if len(s.items) == 0 {
		return nil, fmt.Errorf("images: %s has no image in its part %s", x.Root, split)
	}
	budget := &budget{left: o.CacheBytes}
	s.small, s.full = cache{budget: budget}, cache{budget: budget}
	return s, nil
}

// Info implements data.Dataset.
func (s *Set) Info() data.Info { return s.info }

// Len implements data.Dataset.
func (s *Set) Len() int { return len(s.items) }

// Items lists the images in order. The slice must not be changed.
func (s *Set) Items() []Item { return s.items }

// Lacking lists the classes that have no images in the set. An accuracy on the set does not
// cover them.
func (s *Set) Lacking() (classes []string) {
	counts := make([]int, len(s.info.Classes))
	for _, it := range s.items {
		counts[it.Label]++
	}
	for label, n := range counts {
		if n == 0 {
			classes = append(classes, s.info.Classes[label])
		}
	}
	return classes
}

// Get implements data.Dataset. It returns the image as transforms.ImageClassification prepares
// it.
func (s *Set) Get(i int, pix []uint8) (int, error) {
	s.checkIndex(i)
	if len(pix) != s.info.Numel() {
		panic(tensor.Misusef("folder: buffer of %d bytes for an image of %s, [%d, %d, %d]", len(pix), s.info.Name, s.info.Channels, s.info.Height, s.info.Width))
	}
	err := s.withReplacement(i, func(j int) error {
		m, ready, release, err := s.open(j, &s.small)
		if err != nil {
			return err
		}
		defer release()
		if !ready {
			m = s.o.format().small(m)
		}
		s.small.put(j, m)
		copy(pix, m.Pix)
		return nil
	})
	return s.items[i].Label, err
}

// Image implements data.Images. It returns the image in its own size, or shrunk to
// Options.Shrink, after EXIF orientation.
func (s *Set) Image(i int) (m transforms.Image, label int, err error) {
	label, err = s.Lend(i, func(lent transforms.Image) { m = lent })
	return m, label, err
}

// Lend implements data.ImageLender. The image counts against Options.Memory until use returns.
func (s *Set) Lend(i int, use func(m transforms.Image)) (int, error) {
	s.checkIndex(i)
	err := s.withReplacement(i, func(j int) error {
		m, _, release, err := s.open(j, &s.full)
		if err != nil {
			return err
		}
		defer release()
		s.full.put(j, m)
		use(m)
		return nil
	})
	return s.items[i].Label, err
}

// Cached implements data.Cacher. It returns the number of images that are cached in memory,
// their size in bytes, and the limit.
func (s *Set) Cached() (images int, bytes, maxBytes int64) {
	for _, c := range []*cache{&s.small, &s.full} {
		c.mu.RLock()
		images += len(c.images)
		c.mu.RUnlock()
	}
	b := s.small.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	maxBytes = max(s.o.CacheBytes, 0)
	return images, maxBytes - max(b.left, 0), maxBytes
}

func (s *Set) checkIndex(i int) {
	if i < 0 || i >= len(s.items) {
		panic(tensor.Misusef("folder: image %d of %s, which has %d", i, s.info.Name, len(s.items)))
	}
}

// withReplacement reads image i or, if it is broken, the next image of its class, continuing
// at the start after the last one. The choice does not depend on the order of calls.
func (s *Set) withReplacement(i int, read func(int) error) error {
	for step := range s.items {
		j := (i + step) % len(s.items)
		if s.items[j].Label != s.items[i].Label {
			continue
		}
		err := read(j)
		if err == nil || s.o.Broken == nil || errors.Is(err, ErrChanged) || s.o.ended() != nil {
			return err
		}
	}
	return fmt.Errorf("no image of class %q in %s can be read", s.classes[s.items[i].Label], s.info.Name)
}

// open returns one image from the memory cache c, from the cache on disk, or decoded and
// shrunk. ready reports whether it has the form of c already. The caller must call release
// after the last use of the image.
func (s *Set) open(i int, c *cache) (m transforms.Image, ready bool, release func(), err error) {
	release = func() {}
	if m, ready = c.get(i); ready {
		return m, true, release, nil
	}
	if err := s.isBroken(i); err != nil {
		return m, false, nil, err
	}
	m, ready, ok := s.cachedOnDisk(i, c)
	if ok {
		return m, ready, release, nil
	}
	if m, release, err = s.decode(i, nil); err == nil && s.o.format().shrinks(m.Height, m.Width) {
		m = s.o.format().shrunk(m)
		release()
	}
	return m, false, release, err
}

// cachedOnDisk returns one image from the cache on disk: shrunk, or as Get returns it, for
// which ready is true.
func (s *Set) cachedOnDisk(i int, c *cache) (m transforms.Image, ready, ok bool) {
	switch {
	case s.o.Shrink > 0:
		m, ok = s.o.Cache.read(&s.items[i], formShrunk, nil)
	case c == &s.small:
		m, ok = s.o.Cache.read(&s.items[i], formSmall, nil)
		ready = ok
	}
	return m, ready, ok
}

// decode reads an image, or the part of it that choose returns, from its file. The caller must
// call the returned release after the last use. It reports a broken image to Options.Broken; a
// file that has changed is an ErrChanged instead.
func (s *Set) decode(i int, choose func(height, width int) transforms.Crop) (transforms.Image, func(), error) {
	item := s.items[i]
	m, _, release, err := item.read(s.o, choose)
	if err == nil {
		if err = s.items[i].Mark.differs(item.Mark, item.Path); err == nil {
			return m, release, nil
		}
		release()
		return m, nil, fmt.Errorf("%w; put it back as it was, or start a new run", err)
	}
	if s.o.ended() == nil {
		s.report(i, err)
	}
	return m, nil, err
}

func (s *Set) isBroken(i int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken[i]
}

// report calls Options.Broken once for each broken image.
func (s *Set) report(i int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken[i] == nil {
		s.broken[i] = err
		if s.o.Broken != nil {
			s.o.Broken(s.items[i].Name, err)
		}
	}
}

// budget is the memory that the two caches of a Set share.
type budget struct {
	mu   sync.Mutex
	left int64
}

// take reserves n bytes and reports whether they were left.
func (b *budget) take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int64(n) > b.left {
		return false
	}
	b.left -= int64(n)
	return true
}

// has reports whether n bytes are left.
func (b *budget) has(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(n) <= b.left
}

// cache holds decoded images in memory. When the budget is used up, it keeps its images and
// adds no others: every epoch reads every image once, so evicting the oldest image would
// remove each one shortly before its next use.
type cache struct {
	budget *budget
	mu     sync.RWMutex
	images map[int]transforms.Image
}

func (c *cache) get(i int) (transforms.Image, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	m, ok := c.images[i]
	return m, ok
}

func (c *cache) put(i int, m transforms.Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.images[i]; there || !c.budget.take(len(m.Pix)) {
		return
	}
	if c.images == nil {
		c.images = map[int]transforms.Image{}
	}
	c.images[i] = m
}

var _ data.Images = (*Set)(nil)

// Target implements data.Targeted, for a set of labels or values.
func (s *Set) Target(i int, out []float32) error {
	s.checkIndex(i)
	values, err := targetsIn(s.classes[s.items[i].Label], len(s.info.Targets.Names))
	copy(out, values)
	return err
}

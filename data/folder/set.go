package folder

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// Options says what is made of the images. The zero value is colour at 224 pixels,
// prepared as torchvision prepares them for evaluation.
type Options struct {
	Channels      int // 1 for grey, 3 for colour; 0 means 3
	Size          int // pixels of both sides; 0 means 224
	ResizeSize    int // of the shorter side before the middle is cut out; 0 means 256 for every 224 of Size
	Interpolation transforms.Interpolation

	// Shrink, when not 0, is what the shorter side of an image is resized to, if it is
	// longer, as soon as it is decoded: a photo of 12 megapixels takes 36 MB, one of 512
	// by 683 pixels one. It changes what the transforms of a training see.
	Shrink int

	Holdout  float64 // the share of each class to test on where no folder is; 0 means 0.2
	Seed     uint64  // of that choice
	Together bool    // near-duplicates stay on one side of it: Open reads every image to find them

	MaxImages int // images of a part, spread evenly over it and so over the classes; 0 means all

	CacheBytes int64       // memory for decoded images; 0 means 1 GiB for each part, below 0 none
	Cache      *ImageCache // of decoded images on the disk, opened with these options; nil for none
	MaxPixels  int64       // of an image; 0 means photo.MaxPixels, 50 million

	// Memory bounds what images take while they are decoded and made smaller, at once by
	// all that share it; nil means a budget of its own, photo.NewBudget(0).
	Memory *photo.Budget
	// Context, when it is not nil, ends the reading of images when it ends, also inside of
	// one: what asks for an image then gets its error. Check goes by its own.
	Context context.Context

	// Broken hears of an image that cannot be read, once. Its place is taken by the next
	// of its class that can. When Broken is nil, such an image ends the epoch.
	Broken func(name string, err error)
}

func (o Options) defaults() Options {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.Channels, 3)
	set(&o.Size, 224)
	set(&o.ResizeSize, (o.Size*256+112)/224)
	if o.Holdout == 0 {
		o.Holdout = 0.2
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 1 << 30
	}
	if o.Memory == nil {
		o.Memory = photo.NewBudget(0)
	}
	return o
}

// photo is how a file is read.
func (o Options) photo() photo.Options {
	return photo.Options{Channels: o.Channels, MaxPixels: o.MaxPixels, Context: o.Context}
}

// ended is the error of the context, if it has ended.
func (o Options) ended() error {
	if o.Context == nil {
		return nil
	}
	return o.Context.Err()
}

func (o Options) check() error {
	switch {
	case o.Channels != 1 && o.Channels != 3:
		return fmt.Errorf("images of %d channels; use 1 for grey or 3 for colour", o.Channels)
	case o.Size < 1 || o.Size > 1<<14:
		return fmt.Errorf("images of %d pixels a side; use 1 to %d", o.Size, 1<<14)
	case o.ResizeSize < o.Size:
		return fmt.Errorf("images resized to %d pixels and cut to %d; the cut cannot be larger", o.ResizeSize, o.Size)
	case o.Shrink < 0:
		return fmt.Errorf("images shrunk to %d pixels; use 0 for none", o.Shrink)
	}
	return nil
}

// Open scans a folder or a list and returns its two parts: those that the user made, or
// those of Holdout. To tell the user more, take the steps one by one: Scan, Check,
// Holdout and Set.
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

// Set is the images of one part of an index: a data.Dataset of Size by Size pixels,
// and data.Images of their own sizes. Each image is decoded when it is first asked
// for; those that fit the cache are kept decoded.
type Set struct {
	o     Options
	info  data.Info
	items []Item

	classes []string // of the index: the targets of a set of labels or values

	small, full cache // as Get gives them, and as Image does
	mu          sync.Mutex
	broken      map[int]error
}

// Set returns a part of the index. It reads no image.
func (x *Index) Set(split data.Split, o Options) (*Set, error) {
	o = o.defaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	if !o.Cache.Fits(o) {
		panic(tensor.Misusef("folder: a decoded-image cache with %s for a set with %s", o.Cache.settings, o.cacheSettings()))
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

// Items lists the images in their order. They must not be changed.
func (s *Set) Items() []Item { return s.items }

// Lacking names the classes that have no images in the set: an accuracy on it does not cover them.
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

// Get implements data.Dataset: the image as transforms.ImageClassification prepares it.
func (s *Set) Get(i int, pix []uint8) (int, error) {
	s.checkIndex(i)
	if len(pix) != s.info.Numel() {
		panic(tensor.Misusef("folder: buffer of %d bytes for an image of %s, [%d, %d, %d]", len(pix), s.info.Name, s.info.Channels, s.info.Height, s.info.Width))
	}
	err := s.healthy(i, func(j int) error {
		m, ready, release, err := s.open(j, &s.small)
		if err != nil {
			return err
		}
		defer release()
		if !ready {
			m = s.o.small(m)
		}
		s.small.put(j, m)
		copy(pix, m.Pix)
		return nil
	})
	return s.items[i].Label, err
}

// Image implements data.Images: the image upright and in its own size, or shrunk.
func (s *Set) Image(i int) (m transforms.Image, label int, err error) {
	label, err = s.Lend(i, func(lent transforms.Image) { m = lent })
	return m, label, err
}

// Lend implements data.ImageLender: it holds what the image takes of Options.Memory until use
// returns.
func (s *Set) Lend(i int, use func(m transforms.Image)) (int, error) {
	s.checkIndex(i)
	err := s.healthy(i, func(j int) error {
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

// Cached returns how many images are cached, their bytes, and how many bytes may be.
func (s *Set) Cached() (pictures int, bytes, most int64) {
	for _, c := range []*cache{&s.small, &s.full} {
		c.mu.RLock()
		pictures += len(c.images)
		c.mu.RUnlock()
	}
	b := s.small.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	most = max(s.o.CacheBytes, 0)
	return pictures, most - max(b.left, 0), most
}

func (s *Set) checkIndex(i int) {
	if i < 0 || i >= len(s.items) {
		panic(tensor.Misusef("folder: image %d of %s, which has %d", i, s.info.Name, len(s.items)))
	}
}

// healthy reads image i, or in place of a broken one the next of its class, around
// the end: whichever worker asks first, the same.
func (s *Set) healthy(i int, read func(int) error) error {
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

// open is one image, from the cache in memory, from that on the disk, or decoded and shrunk;
// ready says that it is as the cache keeps it. It is used until release is called.
func (s *Set) open(i int, kept *cache) (m transforms.Image, ready bool, release func(), err error) {
	release = func() {}
	if m, ready = kept.get(i); ready {
		return m, true, release, nil
	}
	if err := s.isBroken(i); err != nil {
		return m, false, nil, err
	}
	m, ready, ok := s.cachedOnDisk(i, kept)
	if ok {
		return m, ready, release, nil
	}
	if m, release, err = s.decode(i, nil); err == nil && s.o.shrinks(m.Height, m.Width) {
		m = s.o.shrunk(m)
		release()
	}
	return m, false, release, err
}

// cachedOnDisk is one image from the cache: shrunk, or as Get returns it, which is ready.
func (s *Set) cachedOnDisk(i int, kept *cache) (m transforms.Image, ready, ok bool) {
	switch {
	case s.o.Shrink > 0:
		m, ok = s.o.Cache.read(&s.items[i], formShrunk, nil)
	case kept == &s.small:
		m, ok = s.o.Cache.read(&s.items[i], formSmall, nil)
		ready = ok
	}
	return m, ready, ok
}

func (o Options) shrinks(h, w int) bool { return o.Shrink > 0 && min(h, w) > o.Shrink }

// shrunk is an image as the transforms of a training take it.
func (o Options) shrunk(m transforms.Image) transforms.Image {
	if !o.shrinks(m.Height, m.Width) {
		return m
	}
	return transforms.Resize{Size: o.Shrink, Interpolation: o.Interpolation}.Apply(m, nil)
}

// small is an image as Get returns it.
func (o Options) small(m transforms.Image) transforms.Image {
	return transforms.ImageClassification{ResizeSize: o.ResizeSize, CropSize: o.Size, Interpolation: o.Interpolation}.Pixels(m)
}

// decode reads an image from its file, or the part of it that choose returns, and holds its
// memory until release is called. One that is broken is named; one that has changed is an
// error of its own.
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

// report names a broken image once.
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

// budget is the memory that caches share.
type budget struct {
	mu   sync.Mutex
	left int64
}

// take returns whether n bytes are left, and takes them.
func (b *budget) take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int64(n) > b.left {
		return false
	}
	b.left -= int64(n)
	return true
}

// has returns whether n bytes are left.
func (b *budget) has(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(n) <= b.left
}

// cache keeps the images that come first until its memory is full, and then those:
// every epoch asks for every image once, so to throw the oldest out would lose each
// just before it is asked for again.
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

package folder

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
)

// ImageCache keeps decoded images of an index on the disk, as the transforms of a training
// take them (Options.Shrink) and as Get returns them for a test: to the bit what would be
// made of the file again, so that a training with it is the training without. What counts
// is the content of a file: an image is found by its digest, whatever the file is called.
// A file is not read again only where the file system can tell that it is the one that was.
//
// Index.Check takes from the cache what it has, and adds the rest. Programs may share one:
// each adds files of its own.
type ImageCache struct {
	Dir string // of its files

	c        CacheConfig
	format   imageFormat
	settings string

	mu     sync.Mutex
	images map[string]*cachedImage // by the digest of the file
	marks  map[string]Mark         // of the files when they were last read, by name
	files  []*cacheFile
	w      *cacheWriter    // nil unless Check is adding
	added  map[string]bool // digests of what it has
	off    bool            // nothing more is added
	trial  CacheTrial
	state  CacheState
}

// trialSize is how many images are measured before a cache is begun.
const trialSize = 32

// open reads the indices of the files that there are. A damaged one is removed.
func (p *ImageCache) open() error {
	entries, err := os.ReadDir(p.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries { // sorted: what is later counts
		if !strings.HasSuffix(e.Name(), cacheExt) {
			continue
		}
		path := filepath.Join(p.Dir, e.Name())
		f, pictures, err := openCacheFile(path, p.settings, p.format)
		switch {
		case errors.Is(err, errDamagedCache):
			p.damaged(path)
			continue
		case errors.Is(err, fs.ErrNotExist): // another program tidied up
			continue
		case err != nil:
			return err
		}
		p.files = append(p.files, f)
		p.state.Bytes += f.size
		p.take(pictures)
	}
	if err := p.readMarks(); err != nil {
		return err
	}
	if p.c.ReadOnly {
		return nil
	}
	if temps, err := filepath.Glob(filepath.Join(p.Dir, cacheTemp)); err == nil {
		forgetTemps(temps)
	}
	return nil
}

func (p *ImageCache) take(pictures []*cachedImage) {
	for _, q := range pictures {
		p.images[q.Mark.SHA256], p.marks[q.Name] = q, q.Mark
	}
}

// damaged removes a file that is not what was written.
func (p *ImageCache) damaged(path string) {
	if p.c.ReadOnly {
		p.note("%s %v; a training writes it anew", path, errDamagedCache)
		return
	}
	os.Remove(path)
	p.note("%s %v; it is removed and written anew", path, errDamagedCache)
}

// tidy removes the files when two thirds of them are of images that are not in the
// index or lie there twice. A name that is new may be of a file that had another.
func (p *ImageCache) tidy(x *Index) {
	var used, all int64
	new, counted := 0, map[*cachedImage]bool{}
	for _, it := range x.Items {
		q := p.images[p.marks[it.Name].SHA256]
		if q == nil {
			new++
			continue
		}
		p.state.Images++
		if !counted[q] {
			counted[q] = true
			used += q.bytes()
		}
	}
	for _, q := range p.images {
		all += q.bytes()
	}
	if n := len(p.images); n > 0 {
		used += int64(min(new, n-len(counted))) * (all / int64(n))
	}
	if p.c.ReadOnly || p.state.Bytes == 0 || used > p.state.Bytes/3 {
		return
	}
	p.Close()
	for _, f := range p.files {
		os.Remove(f.path)
	}
	p.files, p.images, p.marks, p.state.Bytes, p.state.Images = nil, map[string]*cachedImage{}, map[string]Mark{}, 0, 0
}

// Close gives the files free; no Set may read the cache afterwards.
func (p *ImageCache) Close() {
	for _, f := range p.files {
		f.f.Close()
	}
}

// State says what the cache has.
func (p *ImageCache) State() CacheState {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.state
	s.Notes = append([]string(nil), s.Notes...)
	return s
}

func (p *ImageCache) note(format string, args ...any) {
	p.state.Notes = append(p.state.Notes, fmt.Sprintf(format, args...))
}

// Has says whether every image of an index is in the cache.
func (p *ImageCache) Has(x *Index) bool {
	for i := range x.Items {
		if q, _ := p.find(&x.Items[i]); q == nil {
			return false
		}
	}
	return true
}

// find returns the image of an item and the mark of its file, or nil.
func (p *ImageCache) find(it *Item) (*cachedImage, Mark) {
	if p == nil {
		return nil, Mark{}
	}
	if it.Mark.SHA256 != "" {
		return p.withContent(it.Mark.SHA256), it.Mark
	}
	p.mu.Lock()
	mark := p.marks[it.Name]
	q := p.images[mark.SHA256]
	p.mu.Unlock()
	if q == nil {
		return nil, mark
	}
	if st, err := os.Stat(it.Path); err != nil || !mark.is(it.Path, st) {
		return nil, mark
	}
	return q, mark
}

// withContent is the image of a file with this digest, or nil.
func (p *ImageCache) withContent(digest string) *cachedImage {
	if p == nil || digest == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.images[digest]
}

// keep adds an image that Check read and decoded in the time took.
func (p *ImageCache) keep(x *Index, it *Item, m transforms.Image, info photo.Info, l look, took time.Duration) {
	if p == nil || !p.adding() {
		return
	}
	start := time.Now()
	forms := [2]transforms.Image{p.format.shrunk(m), p.format.small(m)}
	took += time.Since(start)
	q := &cachedImage{
		Name: it.Name, Mark: it.Mark, Info: info, Height: m.Height, Width: m.Width,
		Rises: l.rises[:], Colours: l.colours.Pix, Channels: m.Channels,
	}
	w := p.reserve(q, forms, took, len(x.Items))
	if w == nil {
		return
	}
	for i, f := range forms {
		if _, err := w.f.WriteAt(f.Pix, q.Forms[i].At); err != nil {
			p.mu.Lock()
			p.giveUp(fmt.Sprintf("%s cannot be written: %v", p.Dir, err))
			p.mu.Unlock()
			return
		}
	}
}

// adding says whether images are added, and makes the file when the first is.
func (p *ImageCache) adding() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.off || p.w != nil {
		return !p.off
	}
	err := os.MkdirAll(p.Dir, 0o755)
	if err == nil {
		p.w, err = newCacheWriter(p.Dir, p.settings)
		p.added = map[string]bool{}
	}
	if err != nil {
		p.giveUp(fmt.Sprintf("%s cannot be written: %v", p.Dir, err))
	}
	return err == nil
}

// reserve finds room for an image, unless the cache is given up.
func (p *ImageCache) reserve(q *cachedImage, forms [2]transforms.Image, took time.Duration, total int) *cacheWriter {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.w
	if w == nil || p.added[q.Mark.SHA256] { // a copy of one that it has
		return nil
	}
	p.added[q.Mark.SHA256] = true
	for i, f := range forms {
		q.Forms[i] = cacheForm{At: w.reserve(len(f.Pix)), Height: f.Height, Width: f.Width, CRC: crc32.Checksum(f.Pix, castagnoli)}
		p.trial.Bytes += int64(len(f.Pix))
	}
	w.index.Images = append(w.index.Images, q)
	p.trial.Tried, p.trial.Took, p.trial.Images = p.trial.Tried+1, p.trial.Took+took, total
	if p.trial.Tried%trialSize == 0 && !p.goesOn() {
		return nil
	}
	return w
}

// goesOn judges by what was measured so far, and gives up what is not worth it or does
// not fit. A cache that is there already only gets what it lacks.
func (p *ImageCache) goesOn() bool {
	t := p.trial
	if p.c.Worth != nil && len(p.files) == 0 && !p.c.Worth(t) {
		p.giveUp("")
		return false
	}
	missing := int64(t.Images - p.state.Images)
	need := p.state.Bytes + t.Bytes/int64(t.Tried)*max(missing, int64(t.Tried))
	most, how := p.c.MaxBytes, "the limit"
	if most == 0 {
		free, err := freeBytes(p.Dir)
		if err != nil {
			return true // the disk itself says when it is full
		}
		most, how = (free+t.Bytes)/2+p.state.Bytes, "half of what the disk has free"
	}
	if need > most {
		p.giveUp(fmt.Sprintf("decoded images would take %.1f GB, and %s is %.1f GB", float64(need)/1e9, how, float64(most)/1e9))
		return false
	}
	return true
}

// giveUp removes what was written in this Check.
func (p *ImageCache) giveUp(why string) {
	if p.off {
		return
	}
	if p.w != nil {
		p.w.discard()
		p.w = nil
		removeEmpty(p.Dir)
	}
	p.off, p.state.Declined = true, why
}

// removeEmpty removes a cache's folders when nothing is in them.
func removeEmpty(dir string) {
	if os.Remove(dir) == nil {
		os.Remove(filepath.Dir(dir))
	}
}

// finish ends what a Check has added, an interrupted one too: the next goes on there.
func (p *ImageCache) finish(x *Index) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finishFile()
	p.state.Images = 0
	for i := range x.Items {
		if p.images[x.Items[i].Mark.SHA256] != nil {
			p.state.Images++
		}
	}
	p.keepMarks(x)
}

// finishFile gives what was added its name.
func (p *ImageCache) finishFile() {
	if p.w == nil || !p.goesOn() {
		return
	}
	path := filepath.Join(p.Dir, cacheName(time.Now(), os.Getpid()))
	n := len(p.w.index.Images)
	err := p.w.finish(path)
	p.w = nil
	var f *cacheFile
	var pictures []*cachedImage
	if err == nil {
		f, pictures, err = openCacheFile(path, p.settings, p.format)
	}
	if err != nil {
		p.giveUp(fmt.Sprintf("%s cannot be written: %v", p.Dir, err))
		return
	}
	p.files = append(p.files, f)
	p.take(pictures)
	p.state.Bytes += f.size
	p.state.Added = n
	p.trial = CacheTrial{}
}

// read returns a form of an item's image, or the part of it that choose returns; ok is
// false where the cache does not have it.
func (p *ImageCache) read(it *Item, form int, choose func(height, width int) transforms.Crop) (m transforms.Image, ok bool) {
	if p == nil {
		return m, false
	}
	q, _ := p.find(it)
	if q == nil {
		return m, false
	}
	m, err := q.read(form, choose)
	if err == nil {
		return m, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.images[q.Mark.SHA256] == q {
		delete(p.images, q.Mark.SHA256)
		// The file goes, so that the next Check writes it anew; its other images have CRCs
		// of their own, and are good while it is open.
		if !p.c.ReadOnly && os.Remove(q.file.path) == nil {
			p.note("%s: its image of %s cannot be used (%v): the image is decoded again, and the file is removed and written anew by the next run", q.file.path, it.Name, err)
		}
	}
	return m, false
}

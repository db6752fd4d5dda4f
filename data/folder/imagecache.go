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

// ImageCache is a cache of decoded images on disk. It stores each image of an index in two
// forms: as the transforms of a training take it (see Options.Shrink), and as Set.Get returns
// it. The pixels have the same bits as those of a newly decoded file, so a training gives the
// same result with and without the cache.
//
// Images are identified by the digest of the file, whatever its name. A file is not read
// again only if the file system proves that it has not changed.
//
// Index.Check uses the images in the cache and adds the missing ones. Several programs may
// share a cache, since each adds files of its own.
type ImageCache struct {
	Dir string // the folder of its files

	c        CacheConfig
	format   imageFormat
	settings string

	mu      sync.Mutex
	images  map[string]*cachedImage // by the SHA-256 of the file
	marks   map[string]Mark         // the marks of the files when they were last read, by name
	files   []*cacheFile
	w       *cacheWriter    // nil unless Check is adding images
	added   map[string]bool // the digests of the images in w
	stopped bool            // no more images are added
	trial   CacheTrial
	state   CacheState
}

// trialSize is the number of images that are measured before a cache is begun.
const trialSize = 32

// open reads the indices of the files of the cache. It removes damaged files.
func (ic *ImageCache) open() error {
	entries, err := os.ReadDir(ic.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries { // sorted, so that later files override earlier ones
		if !strings.HasSuffix(e.Name(), cacheExt) {
			continue
		}
		path := filepath.Join(ic.Dir, e.Name())
		f, images, err := openCacheFile(path, ic.settings, ic.format)
		switch {
		case errors.Is(err, errDamagedCache):
			ic.damaged(path)
			continue
		case errors.Is(err, fs.ErrNotExist): // another program has removed it
			continue
		case err != nil:
			return err
		}
		ic.files = append(ic.files, f)
		ic.state.Bytes += f.size
		ic.register(images)
	}
	if err := ic.readMarks(); err != nil {
		return err
	}
	if ic.c.ReadOnly {
		return nil
	}
	if temps, err := filepath.Glob(filepath.Join(ic.Dir, cacheTemp)); err == nil {
		forgetTemps(temps)
	}
	return nil
}

func (ic *ImageCache) register(images []*cachedImage) {
	for _, q := range images {
		ic.images[q.Mark.SHA256], ic.marks[q.Name] = q, q.Mark
	}
}

// damaged removes a damaged file and adds a note.
func (ic *ImageCache) damaged(path string) {
	if ic.c.ReadOnly {
		ic.note("%s %v; a training writes it again", path, errDamagedCache)
		return
	}
	os.Remove(path)
	ic.note("%s %v; it is removed and written again", path, errDamagedCache)
}

// tidy removes all files when two thirds or more of their bytes belong to images that are not
// in the index or are stored twice. An item with a new name may be a renamed file, so it
// counts as one of the stored images.
func (ic *ImageCache) tidy(x *Index) {
	var used, all int64
	new, counted := 0, map[*cachedImage]bool{}
	for _, it := range x.Items {
		q := ic.images[ic.marks[it.Name].SHA256]
		if q == nil {
			new++
			continue
		}
		ic.state.Images++
		if !counted[q] {
			counted[q] = true
			used += q.bytes()
		}
	}
	for _, q := range ic.images {
		all += q.bytes()
	}
	if n := len(ic.images); n > 0 {
		used += int64(min(new, n-len(counted))) * (all / int64(n))
	}
	if ic.c.ReadOnly || ic.state.Bytes == 0 || used > ic.state.Bytes/3 {
		return
	}
	ic.Close()
	for _, f := range ic.files {
		os.Remove(f.path)
	}
	ic.files, ic.images, ic.marks, ic.state.Bytes, ic.state.Images = nil, map[string]*cachedImage{}, map[string]Mark{}, 0, 0
}

// Close closes the files. No Set may read the cache afterwards.
func (ic *ImageCache) Close() {
	for _, f := range ic.files {
		f.f.Close()
	}
}

// State returns the present state of the cache.
func (ic *ImageCache) State() CacheState {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	s := ic.state
	s.Notes = append([]string(nil), s.Notes...)
	return s
}

func (ic *ImageCache) note(format string, args ...any) {
	ic.state.Notes = append(ic.state.Notes, fmt.Sprintf(format, args...))
}

// Has reports whether every image of an index is in the cache.
func (ic *ImageCache) Has(x *Index) bool {
	for i := range x.Items {
		if q, _ := ic.find(&x.Items[i]); q == nil {
			return false
		}
	}
	return true
}

// find returns the image of an item, or nil, and the mark of its file. It does not read the
// file.
func (ic *ImageCache) find(it *Item) (*cachedImage, Mark) {
	if ic == nil {
		return nil, Mark{}
	}
	if it.Mark.SHA256 != "" {
		return ic.withContent(it.Mark.SHA256), it.Mark
	}
	ic.mu.Lock()
	mark := ic.marks[it.Name]
	q := ic.images[mark.SHA256]
	ic.mu.Unlock()
	if q == nil {
		return nil, mark
	}
	if st, err := os.Stat(it.Path); err != nil || !mark.matches(it.Path, st) {
		return nil, mark
	}
	return q, mark
}

// withContent returns the image of a file with this digest, or nil.
func (ic *ImageCache) withContent(digest string) *cachedImage {
	if ic == nil || digest == "" {
		return nil
	}
	ic.mu.Lock()
	defer ic.mu.Unlock()
	return ic.images[digest]
}

// add adds an image that Check has read and decoded in the time took.
func (ic *ImageCache) add(x *Index, it *Item, m transforms.Image, info photo.Info, l fingerprint, took time.Duration) {
	if ic == nil || !ic.adding() {
		return
	}
	start := time.Now()
	forms := [2]transforms.Image{ic.format.shrunk(m), ic.format.small(m)}
	took += time.Since(start)
	q := &cachedImage{
		Name: it.Name, Mark: it.Mark, Info: info, Height: m.Height, Width: m.Width,
		Rises: l.rises[:], Colours: l.colours.Pix, Channels: m.Channels,
	}
	w := ic.reserve(q, forms, took, len(x.Items))
	if w == nil {
		return
	}
	for i, f := range forms {
		if _, err := w.f.WriteAt(f.Pix, q.Forms[i].At); err != nil {
			ic.mu.Lock()
			ic.giveUp(fmt.Sprintf("%s cannot be written: %v", ic.Dir, err))
			ic.mu.Unlock()
			return
		}
	}
}

// adding reports whether images are added. It creates the file before the first one.
func (ic *ImageCache) adding() bool {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.stopped || ic.w != nil {
		return !ic.stopped
	}
	err := os.MkdirAll(ic.Dir, 0o755)
	if err == nil {
		ic.w, err = newCacheWriter(ic.Dir, ic.settings)
		ic.added = map[string]bool{}
	}
	if err != nil {
		ic.giveUp(fmt.Sprintf("%s cannot be written: %v", ic.Dir, err))
	}
	return err == nil
}

// reserve reserves space for an image. It returns nil when the image is not to be written.
func (ic *ImageCache) reserve(q *cachedImage, forms [2]transforms.Image, took time.Duration, total int) *cacheWriter {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	w := ic.w
	if w == nil || ic.added[q.Mark.SHA256] { // a copy of an image that it has
		return nil
	}
	ic.added[q.Mark.SHA256] = true
	for i, f := range forms {
		q.Forms[i] = cacheForm{At: w.reserve(len(f.Pix)), Height: f.Height, Width: f.Width, CRC: crc32.Checksum(f.Pix, castagnoli)}
		ic.trial.Bytes += int64(len(f.Pix))
	}
	w.index.Images = append(w.index.Images, q)
	ic.trial.Tried, ic.trial.Took, ic.trial.Images = ic.trial.Tried+1, ic.trial.Took+took, total
	if ic.trial.Tried%trialSize == 0 && !ic.shouldContinue() {
		return nil
	}
	return w
}

// shouldContinue decides by the measurements so far whether the cache is worth its time and
// fits on the disk, and gives up otherwise. It asks CacheConfig.Worth only for a new cache.
func (ic *ImageCache) shouldContinue() bool {
	t := ic.trial
	if ic.c.Worth != nil && len(ic.files) == 0 && !ic.c.Worth(t) {
		ic.giveUp("")
		return false
	}
	missing := int64(t.Images - ic.state.Images)
	need := ic.state.Bytes + t.Bytes/int64(t.Tried)*max(missing, int64(t.Tried))
	limit, how := ic.c.MaxBytes, "the limit"
	if limit == 0 {
		free, err := freeBytes(ic.Dir)
		if err != nil {
			return true // without this information, a full disk is noticed when writing fails
		}
		limit, how = (free+t.Bytes)/2+ic.state.Bytes, "half of what the disk has free"
	}
	if need > limit {
		ic.giveUp(fmt.Sprintf("decoded images would take %.1f GB, and %s is %.1f GB", float64(need)/1e9, how, float64(limit)/1e9))
		return false
	}
	return true
}

// giveUp removes the file that this Check has written, and stops adding images.
func (ic *ImageCache) giveUp(why string) {
	if ic.stopped {
		return
	}
	if ic.w != nil {
		ic.w.discard()
		ic.w = nil
		removeEmpty(ic.Dir)
	}
	ic.stopped, ic.state.Declined = true, why
}

// removeEmpty removes the folders of a cache if they are empty.
func removeEmpty(dir string) {
	if os.Remove(dir) == nil {
		os.Remove(filepath.Dir(dir))
	}
}

// finish completes the file to which Check has added images, even after an interrupted Check,
// so that the next one continues from there.
func (ic *ImageCache) finish(x *Index) {
	if ic == nil {
		return
	}
	ic.mu.Lock()
	defer ic.mu.Unlock()
	ic.finishFile()
	ic.state.Images = 0
	for i := range x.Items {
		if ic.images[x.Items[i].Mark.SHA256] != nil {
			ic.state.Images++
		}
	}
	ic.writeMarks(x)
}

// finishFile writes the index of the new file and renames the file to its final name.
func (ic *ImageCache) finishFile() {
	if ic.w == nil || !ic.shouldContinue() {
		return
	}
	path := filepath.Join(ic.Dir, cacheName(time.Now(), os.Getpid()))
	n := len(ic.w.index.Images)
	err := ic.w.finish(path)
	ic.w = nil
	var f *cacheFile
	var images []*cachedImage
	if err == nil {
		f, images, err = openCacheFile(path, ic.settings, ic.format)
	}
	if err != nil {
		ic.giveUp(fmt.Sprintf("%s cannot be written: %v", ic.Dir, err))
		return
	}
	ic.files = append(ic.files, f)
	ic.register(images)
	ic.state.Bytes += f.size
	ic.state.Added = n
	ic.trial = CacheTrial{}
}

// read returns a form of an item's image, or the part of it that choose returns. ok is false
// when the cache does not have the image.
func (ic *ImageCache) read(it *Item, form int, choose func(height, width int) transforms.Crop) (m transforms.Image, ok bool) {
	if ic == nil {
		return m, false
	}
	q, _ := ic.find(it)
	if q == nil {
		return m, false
	}
	m, err := q.read(form, choose)
	if err == nil {
		return m, true
	}
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.images[q.Mark.SHA256] == q {
		delete(ic.images, q.Mark.SHA256)
		// The file is removed so that the next Check writes it again. Its other images have
		// CRCs of their own and can be read as long as it is open.
		if !ic.c.ReadOnly && os.Remove(q.file.path) == nil {
			ic.note("%s: its image of %s cannot be used (%v): the image is decoded from its file, and the cache file is removed and written again by the next run", q.file.path, it.Name, err)
		}
	}
	return m, false
}

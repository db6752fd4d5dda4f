package folder

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/regular"
)

// A file of a decoded-image cache has this layout, in little-endian order:
//
//	cacheMagic
//	the pixels of one image after the other, [Channels, Height, Width] bytes each
//	the index: a cacheIndex as JSON
//	the trailer: offset and length of the index (uint64 each), its CRC (uint32), cacheMagic
//
// CRCs are CRC-32C. A file is written under a temporary name and renamed when it is complete.
// After that it never changes.
const (
	cacheMagic    = "residual pack 1\n"
	cacheTrailer  = 8 + 8 + 4 + len(cacheMagic)
	cacheExt      = ".pack"
	cacheTemp     = ".residual-pack-*.tmp"
	maxCacheIndex = 1 << 32 // bytes, about two million images
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// cacheIndex lists the images of a file.
type cacheIndex struct {
	Settings string         `json:"settings"` // the cacheSettings of the images
	Images   []*cachedImage `json:"pictures"`
}

// cachedImage describes one image in a file: the results of Check and the position of the
// pixels.
type cachedImage struct {
	Name     string       `json:"name"`
	Mark     Mark         `json:"mark"`
	Info     photo.Info   `json:"info"`
	Height   int          `json:"height"` // of the decoded image, after EXIF orientation
	Width    int          `json:"width"`
	Rises    []uint64     `json:"rises"` // its fingerprint
	Colours  []byte       `json:"colours"`
	Channels int          `json:"channels"`
	Forms    [2]cacheForm `json:"forms"`
	file     *cacheFile   // the file that holds the pixels
	checked  [2]sumStatus // for each form
}

// An image is stored in two forms.
const (
	formShrunk = iota // as a training takes it, resized to Options.Shrink
	formSmall         // as Set.Get returns it, by Options.ResizeSize and Options.Size
)

// cacheForm is the position of pixels in a file.
type cacheForm struct {
	At     int64  `json:"at"`
	Height int    `json:"height"`
	Width  int    `json:"width"`
	CRC    uint32 `json:"crc"`
}

// sumStatus records whether pixels match their CRC: 0 not checked, 1 intact, 2 damaged.
type sumStatus struct{ atomic.Int32 }

// cacheFile is an open file of a decoded-image cache.
type cacheFile struct {
	path string
	f    *os.File
	size int64
}

var errDamagedCache = errors.New("is damaged or cut short")

// openCacheFile opens a file and reads its index. An error that wraps errDamagedCache means
// that the file is damaged or was not written by this package with these settings.
func openCacheFile(path, settings string, format imageFormat) (cf *cacheFile, images []*cachedImage, err error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	cf = &cacheFile{path, f, st.Size()}
	var index cacheIndex
	content, err := cf.index()
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(content, &index); err != nil || index.Settings != settings {
		return nil, nil, errDamagedCache
	}
	for _, p := range index.Images {
		if !p.valid(format, cf.size) {
			return nil, nil, errDamagedCache
		}
		p.file = cf
	}
	return cf, index.Images, nil
}

// index reads the index and verifies its CRC.
func (cf *cacheFile) index() ([]byte, error) {
	if cf.size < int64(len(cacheMagic)+cacheTrailer) {
		return nil, errDamagedCache
	}
	head, tail := make([]byte, len(cacheMagic)), make([]byte, cacheTrailer)
	if _, err := cf.f.ReadAt(head, 0); err != nil {
		return nil, err
	}
	if _, err := cf.f.ReadAt(tail, cf.size-int64(cacheTrailer)); err != nil {
		return nil, err
	}
	at, n := binary.LittleEndian.Uint64(tail), binary.LittleEndian.Uint64(tail[8:])
	room := uint64(cf.size - int64(cacheTrailer))
	if string(head) != cacheMagic || string(tail[20:]) != cacheMagic || at > room || n != room-at || n > maxCacheIndex {
		return nil, errDamagedCache
	}
	content := make([]byte, n)
	if _, err := cf.f.ReadAt(content, int64(at)); err != nil {
		return nil, err
	}
	if crc32.Checksum(content, castagnoli) != binary.LittleEndian.Uint32(tail[16:]) {
		return nil, errDamagedCache
	}
	return content, nil
}

// valid reports whether all values of the index entry are possible for this format and size of
// the file, so that even a forged file gives only images of the size that a Set returns.
func (q *cachedImage) valid(format imageFormat, size int64) bool {
	const maxSide = 1 << 30 // of a side
	if q == nil || q.Channels != format.channels || len(q.Rises) != side*side/64 || len(q.Colours) != q.Channels*side*side ||
		len(q.Mark.SHA256) != 2*sha256.Size || q.Height < 1 || q.Width < 1 || q.Height > maxSide || q.Width > maxSide {
		return false
	}
	h, w := q.Height, q.Width
	if format.shrinks(h, w) {
		h, w = transforms.Resize{Size: format.shrink}.Sides(h, w)
	}
	if f := q.Forms[formShrunk]; f.Height != h || f.Width != w {
		return false
	}
	if f := q.Forms[formSmall]; f.Height != format.size || f.Width != format.size {
		return false
	}
	for _, f := range q.Forms {
		if f.Height < 1 || f.Width < 1 || f.At < int64(len(cacheMagic)) || f.At > size-q.length(f) {
			return false
		}
	}
	return true
}

// bytes returns the size of the pixels in all forms.
func (q *cachedImage) bytes() (n int64) {
	for _, f := range q.Forms {
		n += q.length(f)
	}
	return n
}

func (q *cachedImage) length(f cacheForm) int64 {
	return int64(q.Channels) * int64(f.Height) * int64(f.Width)
}

// fingerprint returns the fingerprint that Check compares.
func (q *cachedImage) fingerprint() fingerprint {
	l := fingerprint{ok: true, colours: transforms.Image{Channels: q.Channels, Height: side, Width: side, Pix: q.Colours}}
	copy(l.rises[:], q.Rises)
	return l
}

// read returns the pixels of a form, or the part that choose returns. The first read of a form
// reads all of it to verify the CRC; later ones read only the rows that they need.
func (q *cachedImage) read(form int, choose func(height, width int) transforms.Crop) (transforms.Image, error) {
	f := q.Forms[form]
	crop := transforms.Crop{Height: f.Height, Width: f.Width}
	if choose != nil {
		crop = choose(f.Height, f.Width)
	}
	switch q.checked[form].Load() {
	case 1:
		return q.rows(f, crop)
	case 2:
		return transforms.Image{}, errDamagedCache
	}
	m := transforms.NewImage(q.Channels, f.Height, f.Width)
	if _, err := q.file.f.ReadAt(m.Pix, f.At); err != nil {
		return transforms.Image{}, err
	}
	if crc32.Checksum(m.Pix, castagnoli) != f.CRC {
		q.checked[form].Store(2)
		return transforms.Image{}, errDamagedCache
	}
	q.checked[form].Store(1)
	return crop.Apply(m, nil), nil
}

// rows reads a part of a form, and no other rows.
func (q *cachedImage) rows(f cacheForm, crop transforms.Crop) (transforms.Image, error) {
	m := transforms.NewImage(q.Channels, crop.Height, f.Width)
	area := crop.Height * f.Width
	for c := range q.Channels {
		at := f.At + int64((c*f.Height+crop.Top)*f.Width)
		if _, err := q.file.f.ReadAt(m.Pix[c*area:][:area], at); err != nil {
			return transforms.Image{}, err
		}
	}
	return transforms.Crop{Left: crop.Left, Height: crop.Height, Width: crop.Width}.Apply(m, nil), nil
}

// cacheWriter writes a file of a decoded-image cache. Its methods must not be called
// concurrently, but several goroutines may write to the ranges that reserve returned.
type cacheWriter struct {
	f     *os.File
	at    int64
	index cacheIndex
}

func newCacheWriter(dir, settings string) (*cacheWriter, error) {
	f, err := os.CreateTemp(dir, cacheTemp)
	if err != nil {
		return nil, err
	}
	w := &cacheWriter{f: f, at: int64(len(cacheMagic)), index: cacheIndex{Settings: settings}}
	if _, err := f.WriteAt([]byte(cacheMagic), 0); err != nil {
		w.discard()
		return nil, err
	}
	return w, nil
}

// reserve reserves n bytes of the file and returns their offset.
func (w *cacheWriter) reserve(n int) (at int64) {
	at = w.at
	w.at += int64(n)
	return at
}

// discard closes and removes the file.
func (w *cacheWriter) discard() {
	w.f.Close()
	os.Remove(w.f.Name())
}

// finish writes the index and renames the file to path.
func (w *cacheWriter) finish(path string) (err error) {
	defer func() {
		if err != nil {
			w.discard()
		}
	}()
	content, err := json.Marshal(w.index)
	if err != nil {
		return err
	}
	if int64(len(content)) > maxCacheIndex {
		return fmt.Errorf("%d images are more than one file can list", len(w.index.Images))
	}
	if err := w.end(content); err != nil {
		return err
	}
	if err := errors.Join(w.f.Sync(), w.f.Close()); err != nil {
		return err
	}
	return os.Rename(w.f.Name(), path)
}

// end writes the index, whose JSON is content, and the trailer.
func (w *cacheWriter) end(content []byte) error {
	var tail bytes.Buffer
	tail.Write(content)
	for _, v := range []any{uint64(w.at), uint64(len(content)), crc32.Checksum(content, castagnoli)} {
		if err := binary.Write(&tail, binary.LittleEndian, v); err != nil {
			return err
		}
	}
	tail.WriteString(cacheMagic)
	_, err := io.Copy(io.NewOffsetWriter(w.f, w.at), &tail)
	return err
}

// forgetTemps removes the temporary files of programs that were killed. A program that is
// still running has written to its file within the hour.
func forgetTemps(names []string) {
	for _, name := range names {
		if st, err := os.Stat(name); err == nil && time.Since(st.ModTime()) > time.Hour {
			os.Remove(name)
		}
	}
}

// cacheName returns a unique file name. Names of later files sort after those of earlier ones.
func cacheName(now time.Time, id int) string {
	return fmt.Sprintf("%016x-%08x%s", now.UnixNano(), uint32(id), cacheExt)
}

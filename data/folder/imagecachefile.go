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

// A file of a decoded-image cache is
//
//	cacheMagic
//	the pixels of one image after the other, [Channels, Height, Width] bytes each
//	the index: JSON, a cacheIndex
//	the trailer: where the index begins and how long it is (uint64), its CRC (uint32), cacheMagic
//
// in little-endian order. CRCs are CRC-32C. It is written under another name and takes
// its own when it is whole; after that it is never changed.
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
	Settings string         `json:"settings"` // as cacheSettings has them
	Images   []*cachedImage `json:"pictures"`
}

// cachedImage is one image: what Check found of its file, and its pixels.
type cachedImage struct {
	Name     string       `json:"name"`
	Mark     Mark         `json:"mark"`
	Info     photo.Info   `json:"info"`
	Height   int          `json:"height"` // upright, in its own size
	Width    int          `json:"width"`
	Rises    []uint64     `json:"rises"` // its look
	Colours  []byte       `json:"colours"`
	Channels int          `json:"channels"`
	Forms    [2]cacheForm `json:"forms"`
	file     *cacheFile   // it lies in
	checked  [2]sumStatus // of each form
}

// The forms an image is kept in.
const (
	formShrunk = iota // as a training takes it: Options.Shrink
	formSmall         // as Get returns it: Options.ResizeSize and Options.Size
)

// cacheForm is where pixels lie in a file.
type cacheForm struct {
	At     int64  `json:"at"`
	Height int    `json:"height"`
	Width  int    `json:"width"`
	CRC    uint32 `json:"crc"`
}

// sumStatus says whether pixels were held to their CRC: 0 not yet, 1 they are whole, 2
// they are damaged.
type sumStatus struct{ atomic.Int32 }

// cacheFile is an open file of a decoded-image cache.
type cacheFile struct {
	path string
	f    *os.File
	size int64
}

var errDamagedCache = errors.New("is damaged or cut short")

// openCacheFile reads a file's index. An error that wraps errDamagedCache is of a file that
// is no longer what was written, or was never written by this package.
func openCacheFile(path, settings string, format imageFormat) (pf *cacheFile, pictures []*cachedImage, err error) {
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
	pf = &cacheFile{path, f, st.Size()}
	var index cacheIndex
	content, err := pf.index()
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(content, &index); err != nil || index.Settings != settings {
		return nil, nil, errDamagedCache
	}
	for _, p := range index.Images {
		if !p.can(format, pf.size) {
			return nil, nil, errDamagedCache
		}
		p.file = pf
	}
	return pf, index.Images, nil
}

// index reads the index and holds it to its CRC.
func (pf *cacheFile) index() ([]byte, error) {
	if pf.size < int64(len(cacheMagic)+cacheTrailer) {
		return nil, errDamagedCache
	}
	head, tail := make([]byte, len(cacheMagic)), make([]byte, cacheTrailer)
	if _, err := pf.f.ReadAt(head, 0); err != nil {
		return nil, err
	}
	if _, err := pf.f.ReadAt(tail, pf.size-int64(cacheTrailer)); err != nil {
		return nil, err
	}
	at, n := binary.LittleEndian.Uint64(tail), binary.LittleEndian.Uint64(tail[8:])
	room := uint64(pf.size - int64(cacheTrailer))
	if string(head) != cacheMagic || string(tail[20:]) != cacheMagic || at > room || n != room-at || n > maxCacheIndex {
		return nil, errDamagedCache
	}
	content := make([]byte, n)
	if _, err := pf.f.ReadAt(content, int64(at)); err != nil {
		return nil, err
	}
	if crc32.Checksum(content, castagnoli) != binary.LittleEndian.Uint32(tail[16:]) {
		return nil, errDamagedCache
	}
	return content, nil
}

// can says whether all that the index tells of an image can be, for images prepared by
// o: whoever wrote the file, what is read by it is of the size that a Set gives out.
func (p *cachedImage) can(format imageFormat, size int64) bool {
	const most = 1 << 30 // of a side
	if p == nil || p.Channels != format.channels || len(p.Rises) != side*side/64 || len(p.Colours) != p.Channels*side*side ||
		len(p.Mark.SHA256) != 2*sha256.Size || p.Height < 1 || p.Width < 1 || p.Height > most || p.Width > most {
		return false
	}
	h, w := p.Height, p.Width
	if format.shrinks(h, w) {
		h, w = transforms.Resize{Size: format.shrink}.Sides(h, w)
	}
	if f := p.Forms[formShrunk]; f.Height != h || f.Width != w {
		return false
	}
	if f := p.Forms[formSmall]; f.Height != format.size || f.Width != format.size {
		return false
	}
	for _, f := range p.Forms {
		if f.Height < 1 || f.Width < 1 || f.At < int64(len(cacheMagic)) || f.At > size-p.length(f) {
			return false
		}
	}
	return true
}

// bytes are those of its pixels.
func (p *cachedImage) bytes() (n int64) {
	for _, f := range p.Forms {
		n += p.length(f)
	}
	return n
}

func (p *cachedImage) length(f cacheForm) int64 {
	return int64(p.Channels) * int64(f.Height) * int64(f.Width)
}

// look is what Check compares.
func (p *cachedImage) look() look {
	l := look{ok: true, colours: transforms.Image{Channels: p.Channels, Height: side, Width: side, Pix: p.Colours}}
	copy(l.rises[:], p.Rises)
	return l
}

// read returns the pixels of a form, or those of the rows that choose wants a part of.
// What was not yet held to its CRC is read whole.
func (p *cachedImage) read(form int, choose func(height, width int) transforms.Crop) (transforms.Image, error) {
	f := p.Forms[form]
	cut := transforms.Crop{Height: f.Height, Width: f.Width}
	if choose != nil {
		cut = choose(f.Height, f.Width)
	}
	switch p.checked[form].Load() {
	case 1:
		return p.rows(f, cut)
	case 2:
		return transforms.Image{}, errDamagedCache
	}
	m := transforms.NewImage(p.Channels, f.Height, f.Width)
	if _, err := p.file.f.ReadAt(m.Pix, f.At); err != nil {
		return transforms.Image{}, err
	}
	if crc32.Checksum(m.Pix, castagnoli) != f.CRC {
		p.checked[form].Store(2)
		return transforms.Image{}, errDamagedCache
	}
	p.checked[form].Store(1)
	return cut.Apply(m, nil), nil
}

// rows reads no more than the rows of a part.
func (p *cachedImage) rows(f cacheForm, cut transforms.Crop) (transforms.Image, error) {
	m := transforms.NewImage(p.Channels, cut.Height, f.Width)
	area := cut.Height * f.Width
	for c := range p.Channels {
		at := f.At + int64((c*f.Height+cut.Top)*f.Width)
		if _, err := p.file.f.ReadAt(m.Pix[c*area:][:area], at); err != nil {
			return transforms.Image{}, err
		}
	}
	return transforms.Crop{Left: cut.Left, Height: cut.Height, Width: cut.Width}.Apply(m, nil), nil
}

// cacheWriter writes a file of a decoded-image cache. Its calls must not overlap, but what reserve
// returned may be written at the same time.
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

// reserve takes n bytes of the file.
func (w *cacheWriter) reserve(n int) (at int64) {
	at = w.at
	w.at += int64(n)
	return at
}

func (w *cacheWriter) discard() {
	w.f.Close()
	os.Remove(w.f.Name())
}

// finish writes the index and gives the file its name.
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

// end writes the index, which is content, and the trailer.
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

// forgetTemps removes what a program that was killed left of its writing. Another that is
// still at work has written within the hour.
func forgetTemps(names []string) {
	for _, name := range names {
		if st, err := os.Stat(name); err == nil && time.Since(st.ModTime()) > time.Hour {
			os.Remove(name)
		}
	}
}

// cacheName is a file's name that no other has, later ones behind earlier ones.
func cacheName(now time.Time, id int) string {
	return fmt.Sprintf("%016x-%08x%s", now.UnixNano(), uint32(id), cacheExt)
}

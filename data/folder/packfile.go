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

// A file of a pack is
//
//	packMagic
//	the pixels of one picture after the other, [Channels, Height, Width] bytes each
//	the index: JSON, a packIndex
//	the trailer: where the index begins and how long it is (uint64), its CRC (uint32), packMagic
//
// in little-endian order. CRCs are CRC-32C. It is written under another name and takes
// its own when it is whole; after that it is never changed.
const (
	packMagic   = "residual pack 1\n"
	packTrailer = 8 + 8 + 4 + len(packMagic)
	packEnding  = ".pack"
	packTemp    = ".residual-pack-*.tmp"
	mostIndex   = 1 << 32 // bytes, about two million pictures
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// packIndex lists the pictures of a file.
type packIndex struct {
	Settings string    `json:"settings"` // as packSettings has them
	Pictures []*packed `json:"pictures"`
}

// packed is one picture: what Check found of its file, and its pixels.
type packed struct {
	Name     string       `json:"name"`
	Mark     Mark         `json:"mark"`
	Info     photo.Info   `json:"info"`
	Height   int          `json:"height"` // upright, in its own size
	Width    int          `json:"width"`
	Rises    []uint64     `json:"rises"` // its look
	Colours  []byte       `json:"colours"`
	Channels int          `json:"channels"`
	Forms    [2]packForm  `json:"forms"`
	file     *packFile    // it lies in
	checked  [2]sumStatus // of each form
}

// The forms a picture is kept in.
const (
	formShrunk = iota // as a training takes it: Options.Shrink
	formSmall         // as Get returns it: Options.ResizeSize and Options.Size
)

// packForm is where pixels lie in a file.
type packForm struct {
	At     int64  `json:"at"`
	Height int    `json:"height"`
	Width  int    `json:"width"`
	CRC    uint32 `json:"crc"`
}

// sumStatus says whether pixels were held to their CRC: 0 not yet, 1 they are whole, 2
// they are damaged.
type sumStatus struct{ atomic.Int32 }

// packFile is an open file of a pack.
type packFile struct {
	path string
	f    *os.File
	size int64
}

var errDamagedPack = errors.New("is damaged or cut short")

// openPackFile reads a file's index. An error that wraps errDamagedPack is of a file that
// is no longer what was written, or was never written by this package.
func openPackFile(path, settings string, o Options) (pf *packFile, pictures []*packed, err error) {
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
	pf = &packFile{path, f, st.Size()}
	var index packIndex
	content, err := pf.index()
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(content, &index); err != nil || index.Settings != settings {
		return nil, nil, errDamagedPack
	}
	for _, p := range index.Pictures {
		if !p.can(o, pf.size) {
			return nil, nil, errDamagedPack
		}
		p.file = pf
	}
	return pf, index.Pictures, nil
}

// index reads the index and holds it to its CRC.
func (pf *packFile) index() ([]byte, error) {
	if pf.size < int64(len(packMagic)+packTrailer) {
		return nil, errDamagedPack
	}
	head, tail := make([]byte, len(packMagic)), make([]byte, packTrailer)
	if _, err := pf.f.ReadAt(head, 0); err != nil {
		return nil, err
	}
	if _, err := pf.f.ReadAt(tail, pf.size-int64(packTrailer)); err != nil {
		return nil, err
	}
	at, n := binary.LittleEndian.Uint64(tail), binary.LittleEndian.Uint64(tail[8:])
	room := uint64(pf.size - int64(packTrailer))
	if string(head) != packMagic || string(tail[20:]) != packMagic || at > room || n != room-at || n > mostIndex {
		return nil, errDamagedPack
	}
	content := make([]byte, n)
	if _, err := pf.f.ReadAt(content, int64(at)); err != nil {
		return nil, err
	}
	if crc32.Checksum(content, castagnoli) != binary.LittleEndian.Uint32(tail[16:]) {
		return nil, errDamagedPack
	}
	return content, nil
}

// can says whether all that the index tells of a picture can be, for pictures prepared by
// o: whoever wrote the file, what is read by it is of the size that a Set gives out.
func (p *packed) can(o Options, size int64) bool {
	const most = 1 << 30 // of a side
	if p == nil || p.Channels != o.Channels || len(p.Rises) != side*side/64 || len(p.Colours) != p.Channels*side*side ||
		len(p.Mark.SHA256) != 2*sha256.Size || p.Height < 1 || p.Width < 1 || p.Height > most || p.Width > most {
		return false
	}
	h, w := p.Height, p.Width
	if o.shrinks(h, w) {
		h, w = transforms.Resize{Size: o.Shrink}.Sides(h, w)
	}
	if f := p.Forms[formShrunk]; f.Height != h || f.Width != w {
		return false
	}
	if f := p.Forms[formSmall]; f.Height != o.Size || f.Width != o.Size {
		return false
	}
	for _, f := range p.Forms {
		if f.Height < 1 || f.Width < 1 || f.At < int64(len(packMagic)) || f.At > size-p.length(f) {
			return false
		}
	}
	return true
}

// bytes are those of its pixels.
func (p *packed) bytes() (n int64) {
	for _, f := range p.Forms {
		n += p.length(f)
	}
	return n
}

func (p *packed) length(f packForm) int64 {
	return int64(p.Channels) * int64(f.Height) * int64(f.Width)
}

// look is what Check compares.
func (p *packed) look() look {
	l := look{ok: true, colours: transforms.Image{Channels: p.Channels, Height: side, Width: side, Pix: p.Colours}}
	copy(l.rises[:], p.Rises)
	return l
}

// read returns the pixels of a form, or those of the rows that choose wants a part of.
// What was not yet held to its CRC is read whole.
func (p *packed) read(form int, choose func(height, width int) transforms.Crop) (transforms.Image, error) {
	f := p.Forms[form]
	cut := transforms.Crop{Height: f.Height, Width: f.Width}
	if choose != nil {
		cut = choose(f.Height, f.Width)
	}
	switch p.checked[form].Load() {
	case 1:
		return p.rows(f, cut)
	case 2:
		return transforms.Image{}, errDamagedPack
	}
	m := transforms.NewImage(p.Channels, f.Height, f.Width)
	if _, err := p.file.f.ReadAt(m.Pix, f.At); err != nil {
		return transforms.Image{}, err
	}
	if crc32.Checksum(m.Pix, castagnoli) != f.CRC {
		p.checked[form].Store(2)
		return transforms.Image{}, errDamagedPack
	}
	p.checked[form].Store(1)
	return cut.Apply(m, nil), nil
}

// rows reads no more than the rows of a part.
func (p *packed) rows(f packForm, cut transforms.Crop) (transforms.Image, error) {
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

// packWriter writes a file of a pack. Its calls must not overlap, but what reserve
// returned may be written at the same time.
type packWriter struct {
	f     *os.File
	at    int64
	index packIndex
}

func newPackWriter(dir, settings string) (*packWriter, error) {
	f, err := os.CreateTemp(dir, packTemp)
	if err != nil {
		return nil, err
	}
	w := &packWriter{f: f, at: int64(len(packMagic)), index: packIndex{Settings: settings}}
	if _, err := f.WriteAt([]byte(packMagic), 0); err != nil {
		w.discard()
		return nil, err
	}
	return w, nil
}

// reserve takes n bytes of the file.
func (w *packWriter) reserve(n int) (at int64) {
	at = w.at
	w.at += int64(n)
	return at
}

func (w *packWriter) discard() {
	w.f.Close()
	os.Remove(w.f.Name())
}

// finish writes the index and gives the file its name.
func (w *packWriter) finish(path string) (err error) {
	defer func() {
		if err != nil {
			w.discard()
		}
	}()
	content, err := json.Marshal(w.index)
	if err != nil {
		return err
	}
	if len(content) > mostIndex {
		return fmt.Errorf("%d pictures are more than one file can list", len(w.index.Pictures))
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
func (w *packWriter) end(content []byte) error {
	var tail bytes.Buffer
	tail.Write(content)
	for _, v := range []any{uint64(w.at), uint64(len(content)), crc32.Checksum(content, castagnoli)} {
		if err := binary.Write(&tail, binary.LittleEndian, v); err != nil {
			return err
		}
	}
	tail.WriteString(packMagic)
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

// packName is a file's name that no other has, later ones behind earlier ones.
func packName(now time.Time, id int) string {
	return fmt.Sprintf("%016x-%08x%s", now.UnixNano(), uint32(id), packEnding)
}

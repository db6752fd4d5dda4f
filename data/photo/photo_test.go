package photo

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pillowFile is the entry of pillow.json for an image, which testdata/pillow_photos.py writes.
type pillowFile struct {
	Name, Format               string
	Width, Height, Orientation int
	Upright                    [2]int
	RGB, Grey                  string
	Planes                     []int
}

func pillow(t *testing.T) []pillowFile {
	t.Helper()
	text, err := os.ReadFile("testdata/pillow.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Files []pillowFile }
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Files) != 21 {
		t.Fatalf("%d files in testdata/pillow.json", len(f.Files))
	}
	return f.Files
}

// Every format, depth and orientation gives the same pixels as in Pillow; JPEG, whose decoders may
// differ, within 3.
func TestPixelsMatchPillow(t *testing.T) {
	for _, want := range pillow(t) {
		path := filepath.Join("testdata", want.Name)
		m, info, err := Read(path, Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		if info != (Info{want.Format, want.Width, want.Height, want.Orientation}) {
			t.Errorf("%s: %+v", want.Name, info)
		}
		if m.Channels != 3 || m.Height != want.Upright[0] || m.Width != want.Upright[1] {
			t.Errorf("%s: [%d, %d, %d], Pillow has %v", want.Name, m.Channels, m.Height, m.Width, want.Upright)
			continue
		}
		if want.Planes != nil {
			for i, v := range m.Pix {
				if d := int(v) - want.Planes[i]; d < -3 || d > 3 {
					t.Errorf("%s: pixel %d is %d, Pillow has %d", want.Name, i, v, want.Planes[i])
					break
				}
			}
			continue
		}
		grey, _, err := Read(path, Options{Channels: 1})
		if err != nil {
			t.Error(err)
			continue
		}
		if got := fmt.Sprintf("%08x", crc32.ChecksumIEEE(m.Pix)); got != want.RGB {
			t.Errorf("%s: colours %s, Pillow has %s", want.Name, got, want.RGB)
		}
		if got := fmt.Sprintf("%08x", crc32.ChecksumIEEE(grey.Pix)); got != want.Grey {
			t.Errorf("%s: grey %s, Pillow has %s", want.Name, got, want.Grey)
		}
	}
	stored, _, err := Read("testdata/turned6.png", Options{AsStored: true})
	if err != nil || stored.Height != 10 || stored.Width != 14 {
		t.Errorf("as stored %d by %d, %v", stored.Height, stored.Width, err)
	}
}

// hugePNG returns a PNG file that claims w by h pixels and has none.
func hugePNG(w, h uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(b, w)
	b = binary.BigEndian.AppendUint32(b, h)
	b = append(b, 8, 2, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	good, err := os.ReadFile("testdata/turned6.jpg")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		options Options
		want    string
	}{
		"cut.jpg":     {good[:len(good)/2], Options{}, "is a jpeg file that cannot be decoded"},
		"text.jpg":    {[]byte("no image"), Options{}, "is not a JPEG, PNG, GIF, WebP, BMP or TIFF file"},
		"empty.png":   {nil, Options{}, "is empty"},
		"huge.png":    {hugePNG(1<<20, 1<<20), Options{}, "is too large: 1048576x1048576"},
		"limited.jpg": {good, Options{MaxPixels: 100}, "where 100 pixels are possible"},
		"long.jpg":    {good, Options{MaxFileBytes: 100}, "has 0 MB, where 0 are possible"},
		"nothing.png": {hugePNG(3, 3), Options{}, "png file that cannot be decoded"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Read(path, c.options); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: want %q, got %v", name, c.want, err)
		}
	}
	if _, _, err := Read(dir, Options{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	if _, _, err := Read(filepath.Join(dir, "none.png"), Options{}); err == nil || !strings.Contains(err.Error(), "none.png") {
		t.Errorf("no file: %v", err)
	}
}

// Damaged EXIF data is not an error of the image.
func TestDamagedEXIF(t *testing.T) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 9, 4)), nil); err != nil {
		t.Fatal(err)
	}
	tiff := "II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
	for _, c := range []struct {
		payload string
		want    int
	}{
		{tiff, 6},
		{"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x08\x00\x00", 8},
		{strings.Replace(tiff, "\x06", "\x09", 1), 0}, // no orientation
		{strings.Replace(tiff, "\x03", "\x04", 1), 6}, // a LONG
		{strings.Replace(tiff, "\x03", "\x07", 1), 0}, // a type that is not a number
		{tiff[:20], 0},
		{strings.Replace(tiff, "\x08\x00\x00\x00", "\xff\xff\xff\xff", 1), 0},
		{"II", 0}, {"", 0}, {"XX*\x00\x08\x00\x00\x00", 0},
	} {
		app1 := append([]byte("\xff\xd8\xff\xe1"), byte((len(c.payload)+8)>>8), byte(len(c.payload)+8))
		content := append(append(append(app1, exifHeader...), c.payload...), b.Bytes()[2:]...)
		m, info, err := Decode(content, Options{})
		if err != nil || info.Orientation != c.want || (m.Height == 9) != (c.want > 4) {
			t.Errorf("%q: orientation %d, %d by %d, %v; want %d", c.payload, info.Orientation, m.Height, m.Width, err, c.want)
		}
	}
}

func TestSixteenBitColours(t *testing.T) {
	img := image.NewNRGBA64(image.Rect(0, 0, 2, 1))
	img.SetNRGBA64(0, 0, color.NRGBA64{0x1234, 0xabcd, 0xffff, 0xffff})
	img.SetNRGBA64(1, 0, color.NRGBA64{0, 0x00ff, 0x8000, 0xffff})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	m, _, err := Decode(b.Bytes(), Options{})
	if err != nil || !bytes.Equal(m.Pix, []uint8{0x12, 0, 0xab, 0, 0xff, 0x80}) {
		t.Errorf("%x, %v", m.Pix, err)
	}
}

func TestNamed(t *testing.T) {
	for name, want := range map[string]bool{"a.JPG": true, "b.webp": true, "c.jpeg": true, "d.txt": false, "jpg": false, "e.tiff": true} {
		if Named(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		if content, err := os.ReadFile(name); err == nil && Named(name) {
			f.Add(content)
		}
	}
	for _, turned := range turnedFiles(f) {
		f.Add(turned.content(f))
	}
	_, contents := kinds(f)
	for _, content := range contents {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		m, info, err := Decode(content, Options{MaxPixels: 1 << 16})
		if err == nil && (m.Height < 1 || m.Width < 1 || len(m.Pix) != 3*m.Height*m.Width || info.Orientation < 0 || info.Orientation > 8) {
			t.Errorf("%+v, [%d, %d, %d] of %d bytes", info, m.Channels, m.Height, m.Width, len(m.Pix))
		}
	})
}

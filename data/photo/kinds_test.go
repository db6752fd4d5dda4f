package photo

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
)

// kind is the entry of kinds.json for a file in kinds.zip, which testdata/pillow_kinds.py writes.
type kind struct {
	Name, Format  string
	Width, Height int // upright
	RGB, Grey     string
	Rule          bool // the pixels follow the rule in the package comment instead of Pillow
}

// kinds returns the entries of kinds.json and the contents of the files by name.
func kinds(t testing.TB) ([]kind, map[string][]byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/kinds.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Files []kind }
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader("testdata/kinds.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	contents := map[string][]byte{}
	for _, file := range archive.File {
		r, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		if contents[file.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.Files) != 335 || len(contents) != len(f.Files) {
		t.Fatalf("%d files in kinds.json, %d in kinds.zip", len(f.Files), len(contents))
	}
	return f.Files, contents
}

// Every format, depth and mode has the same pixels as in Pillow, or those of the rule in the
// package comment.
func TestEveryKindMatchesPillow(t *testing.T) {
	files, contents := kinds(t)
	rules := 0
	for _, want := range files {
		if want.Rule {
			rules++
		}
		m, info, err := Decode(contents[want.Name], Options{})
		if err != nil {
			t.Errorf("%s: %v", want.Name, err)
			continue
		}
		grey, _, err := Decode(contents[want.Name], Options{Channels: 1})
		if err != nil {
			t.Errorf("%s in grey: %v", want.Name, err)
			continue
		}
		got := kind{want.Name, info.Format, m.Width, m.Height,
			fmt.Sprintf("%08x", crc32.ChecksumIEEE(m.Pix)), fmt.Sprintf("%08x", crc32.ChecksumIEEE(grey.Pix)), want.Rule}
		if got != want || m.Channels != 3 || grey.Channels != 1 {
			t.Errorf("%s:\n got %+v\nwant %+v", want.Name, got, want)
		}
	}
	if rules != 14 {
		t.Errorf("%d files follow the rule and not Pillow", rules)
	}
}

// White is white, and transparent pixels have their stored colours, in every format. These values
// were once wrong.
func TestKnownColours(t *testing.T) {
	_, contents := kinds(t)
	for name, want := range map[string][3]uint8{
		"white.webp": {255, 255, 255}, "black.webp": {0, 0, 0}, "grey.webp": {128, 128, 128},
		"clear-16.png": {200, 120, 40}, "lossless-clear.webp": {200, 120, 40}, "clear.gif": {10, 20, 30},
	} {
		m, _, err := Decode(contents[name], Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		area := m.Width * m.Height
		if got := [3]uint8{m.Pix[0], m.Pix[area], m.Pix[2*area]}; got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// The limit of pixels is checked before decoding, and also when the frame enlarges the canvas.
func TestEveryFormatIsLimited(t *testing.T) {
	files, contents := kinds(t)
	for _, f := range files {
		pixels := int64(f.Width) * int64(f.Height)
		if _, _, err := Decode(contents[f.Name], Options{MaxPixels: pixels}); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if pixels == 1 {
			continue // 0 means the usual limit
		}
		if _, _, err := Decode(contents[f.Name], Options{MaxPixels: pixels - 1}); err == nil || !strings.Contains(err.Error(), "is too large") {
			t.Errorf("%s within %d pixels: %v", f.Name, pixels-1, err)
		}
	}
}

// A file that ends before its pixels do gives an error that says that it is cut short.
func TestCutShort(t *testing.T) {
	_, contents := kinds(t)
	for _, name := range []string{
		"type2-8-0.png", "type6-16-1.png", "many-chunks.png", "full-table.gif", "interlaced.gif", "lossy-100.webp", "lossless-alpha.webp",
		"animation.webp", "alpha.webp", "header40-24.bmp", "header12-8.bmp", "runs-8.bmp", "masks40-0.bmp", "tiles40.tif", "rgb-tiff_lzw.tif",
	} {
		content := contents[name]
		for n := 20; n < len(content)-64; n += max(1, len(content)/50) {
			_, _, err := Decode(content[:n], Options{})
			if err == nil || !strings.Contains(err.Error(), "it is cut short") {
				t.Errorf("%s after %d of %d bytes: %v", name, n, len(content), err)
			}
		}
	}
}

// The error for a damaged file that is not cut short does not say so.
func TestDamaged(t *testing.T) {
	_, contents := kinds(t)
	for _, c := range []struct{ name, old, new, want string }{
		{"gamma.png", "gAMA\x00\x01", "gAMA\x00\x02", "the checksum of its chunk \"gAMA\" is wrong"},
		{"type2-8-0.png", "IDATx\x9c", "IDATx\x9d", "zlib: invalid header"},
		{"shared.gif", ",\x00\x00\x00\x00\x02\x00", ",\x00\x00\x00\x00\x00\x00", "its first frame has no pixels"},
		{"shared.gif", "\x02\x00\x00\x02", "\x02\x00\x00\x0f", "its codes have 15 bits"},
		{"lossy-100.webp", "\x9d\x01\x2a", "\x9d\x01\x2b", "vp8: invalid format"},
		{"white.webp", "VP8 ", "VP9 ", "it holds no image"},
		{"planes8.tif", "\x1c\x01\x03\x00\x01\x00\x00\x00\x02", "\x1c\x01\x03\x00\x01\x00\x00\x00\x01", "cut short"},
		{"rgb8-3-None.tif", "\x06\x01\x03\x00\x01\x00\x00\x00\x02", "\x06\x01\x03\x00\x01\x00\x00\x00\x09", "of a kind that is not read (unsupported: colours of kind 9); convert it to JPEG or PNG"},
		{"rgb-tiff_lzw.tif", "\x03\x01\x03\x00\x01\x00\x00\x00\x05", "\x03\x01\x03\x00\x01\x00\x00\x00\x06", "compression old-style JPEG); convert it"},
		{"header40-24.bmp", "\x01\x00\x18\x00", "\x01\x00\x17\x00", "23 bits a pixel); convert it"},
	} {
		content := string(contents[c.name])
		if !strings.Contains(content, c.old) {
			t.Fatalf("%s has no %q", c.name, c.old)
		}
		_, _, err := Decode([]byte(strings.Replace(content, c.old, c.new, 1)), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "cut short") != (c.want == "cut short") {
			t.Errorf("%s with %q: %v, want %q", c.name, c.new, err, c.want)
		}
	}
}

// The image of a container whose size is slightly wrong or too small is still read.
func TestWebPSizes(t *testing.T) {
	_, contents := kinds(t)
	content := contents["lossy-30.webp"]
	full, _, err := Decode(content, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, len(content) - 20, len(content) - 8, len(content)} {
		c := bytes.Clone(content)
		binary.LittleEndian.PutUint32(c[4:], uint32(size))
		if m, _, err := Decode(c, Options{}); err != nil || !bytes.Equal(m.Pix, full.Pix) {
			t.Errorf("a size of %d in a file of %d bytes: %v", size, len(c), err)
		}
	}
}

// A PNG file with changed pixels is an error. If the checksum of a chunk is wrong, that of the
// zlib stream decides.
func TestPNGChecksums(t *testing.T) {
	_, contents := kinds(t)
	content := contents["rows-too-many.png"]
	full, _, err := Decode(content, Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(content), "IDAT")
	for i := at + 6; i < len(content)-16; i++ {
		content[i] ^= 0x10
		if m, _, err := Decode(content, Options{}); err == nil && !bytes.Equal(m.Pix, full.Pix) {
			t.Errorf("byte %d of %d was changed without an error", i, len(content))
		}
		content[i] ^= 0x10
	}
	// Here the checksum of the chunk is right, but that of the stream is wrong.
	content = contents["type2-8-0.png"]
	end := len(content) - 12 // the end of the chunk's checksum, where IEND begins
	content[end-5] ^= 1
	from := strings.Index(string(content), "IDAT")
	binary.BigEndian.PutUint32(content[end-4:], crc32.ChecksumIEEE(content[from:end-4]))
	if _, _, err := Decode(content, Options{}); err == nil || !strings.Contains(err.Error(), "the checksum of its pixels is wrong") {
		t.Errorf("a stream whose checksum is wrong: %v", err)
	}
}

// The error for a file of another kind says what it is, by its content, and the next step.
func TestForeignFilesAreNamed(t *testing.T) {
	ftyp := func(brands string) string { return "\x00\x00\x00" + string(rune(8+len(brands))) + "ftyp" + brands }
	raw := "II*\x00\x08\x00\x00\x00\x02\x00" + "\xfe\x00\x04\x00\x01\x00\x00\x00\x01\x00\x00\x00" + "\x4a\x01\x04\x00\x01\x00\x00\x00\x64\x00\x00\x00" + "\x00\x00\x00\x00"
	for content, want := range map[string]string{
		ftyp("heic\x00\x00\x00\x00mif1heic"):                 "is a HEIC image, which is not read here; convert it to JPEG or PNG",
		ftyp("mif1\x00\x00\x00\x00mif1heic"):                 "is a HEIC image",
		ftyp("mif1\x00\x00\x00\x00mif1"):                     "is a HEIF image",
		ftyp("avif\x00\x00\x00\x00avifmif1"):                 "is an AVIF image, which",
		ftyp("mif1\x00\x00\x00\x00mif1avifmiaf"):             "is an AVIF image",
		ftyp("crx \x00\x00\x00\x01crx isom"):                 "is a camera's raw image",
		ftyp("isom\x00\x00\x02\x00isomavc1"):                 "is a video, not an image; give an image in its place",
		ftyp("qt  \x00\x00\x00\x00qt  "):                     "is a video",
		"\x1aE\xdf\xa3 and so on":                            "is a video",
		"RIFF\x00\x00\x00\x00AVI LIST":                       "is a video",
		"\x00\x00\x00\x0cJXL \r\n\x87\n":                     "is a JPEG XL image, which",
		"\xff\x0a\x00\x00":                                   "is a JPEG XL image",
		"\x00\x00\x00\x0cjP  \r\n\x87\n":                     "is a JPEG 2000 image",
		"\xff\x4f\xff\x51\x00":                               "is a JPEG 2000 image",
		"8BPS\x00\x01":                                       "is a Photoshop image",
		raw:                                                  "is a camera's raw image",
		"II*\x00\x10\x00\x00\x00CR\x02\x00":                  "is a tiff file that cannot be decoded",
		"FUJIFILMCCD-RAW 0201":                               "is a camera's raw image",
		"II+\x00\x08\x00\x00\x00":                            "is a BigTIFF image",
		"<svg xmlns='http://www.w3.org'>":                    "is an SVG drawing, which",
		"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a --><SVG>": "is an SVG drawing",
		"%PDF-1.7":                                   "is a PDF document, which",
		"P6\n3 2 255\n":                              "is a PNM image",
		"\n<!DOCTYPE html><html>not found":           "is a web page, not an image",
		"<html><svg></svg></html>":                   "is a web page",
		"version https://git-lfs.github.com/spec/v1": "is a pointer of Git LFS",
		strings.Repeat("\x00", 99):                   "contains only zeros",
		"":                                           "is empty",
		"BMW and Mercedes build cars":                "is not a JPEG, PNG, GIF, WebP, BMP or TIFF file; convert it to one of these",
		"RIFF\x04\x00\x00\x00WEBP":                   "it holds no image",
		pngSignature + "\x00\x00\x00\x04CgBI\x30\x00\x20\x06\x2c\xb8\x77\x66": "Xcode made it for iPhones); convert it",
	} {
		_, _, err := Decode([]byte(content), Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", content, err, want)
		}
	}
	for name, want := range map[string]string{"a.HEIC": "HEIC", "b.nef": "camera raw", "c.jpg": "", "d.txt": "", "e.tif": ""} {
		if got := NamedOther(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func lowerRight(h, w int) transforms.Crop {
	return transforms.Crop{Top: h / 2, Left: w / 3, Height: h - h/2, Width: w - w/3}
}

// A part of an image has the same pixels as the full image, for every kind of file.
func TestPartsOfEveryKind(t *testing.T) {
	files, contents := kinds(t)
	for _, f := range files {
		full, _, err := Decode(contents[f.Name], Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		part, _, err := DecodePart(contents[f.Name], Options{}, lowerRight)
		if want := lowerRight(full.Height, full.Width).Apply(full, nil); err != nil || string(part.Pix) != string(want.Pix) {
			t.Errorf("%s: a part differs, %v", f.Name, err)
		}
	}
}

// A file that claims more pixels than it can hold is refused before memory for them is allocated.
func TestHeadersTakeNoMemory(t *testing.T) {
	huge := hugePNG(7000, 7000)
	huge = append(huge, "\x00\x00\x00\x09IDATx\x9c\x03\x00\x00\x00\x00\x01?????"...)
	took := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := Decode(huge, Options{}); !errors.Is(err, io.ErrUnexpectedEOF) {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if took > 1<<16 {
		t.Errorf("a file of %d bytes took %d bytes of memory", len(huge), took)
	}
}

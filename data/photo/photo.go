// Package photo reads a user's images: JPEG, PNG, GIF, WebP, BMP and TIFF files, turned
// upright by their EXIF data, as planes of 8-bit grey or of red, green and blue. Files are
// what anybody may have put there: sizes are checked before anything is decoded, and a
// decoder that stumbles is an error.
//
// Read decodes one file:
//
//	m, info, err := photo.Read("cat.jpg", photo.Options{})
//
// Options sets the channels and the limits, Inspect reads the headers alone, and a Budget
// bounds the memory of all images that are decoded at the same time.
//
// One rule holds for every format, depth and mode: a pixel has the colour stored under it,
// as Pillow's Image.open(f).convert("RGB") has it.
//
//   - Transparency is left out, whether it is an alpha channel, a transparent colour or an
//     entry of a palette: what is wholly transparent has its colour too, and is not black.
//   - Gamma, colour profiles and a file's idea of its background are ignored.
//   - Samples of 1, 2 and 4 bits are scaled to 8; of 16 bits the upper 8 count.
//   - Of several frames or pages the first counts, on the whole of its canvas: round a
//     smaller frame of a GIF lies the transparent colour, or the first of the palette, and
//     round one of a WebP file black. A pixel whose palette lacks it is black.
//   - Lossy WebP is converted to RGB as libwebp does, JPEG as libjpeg-turbo does.
//
// Where Pillow's result is of no use, ours is another. It clips 16-bit grey at 255, so that
// all but the darkest becomes white; here it is scaled like any other 16-bit sample. Where
// rows of a PNG file are missing it may leave them black; here the file is refused, and so
// is one whose pixels have the wrong checksums. Of BMP files with a palette of two greys or
// with unusual masks, of GIF files whose own palette is a ramp of greys, and of TIFF files
// with planes of 16 bits it misreads or refuses what is read here by the format's
// documentation.
//
// TIFF files hold more than is read here: those with samples that are no unsigned integers,
// with YCbCr that is not JPEG, or with a compression of recent years are refused. That error, like the one for HEIC,
// AVIF, JPEG XL, camera raw files and whatever else is found in their place, names what the
// file is and says to convert it.
//
// JPEG is decoded by package jpeg alone, which also has the word on what a JPEG file is and
// how large: to Pillow's very pixels, sampled and coloured in any way that Pillow knows. A
// file that is cut short is an error, as Pillow has it unless it is told otherwise; its end
// marker may be missing where the image is whole.
package photo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/internal/regular"
)

// Options says how to read. The zero value is colour within the usual limits.
type Options struct {
	Channels     int   // 1 for grey, 3 for colour; 0 means 3
	MaxPixels    int64 // of an image, 0 means MaxPixels, 50 million: decoding takes 4 to 8 bytes for each
	MaxFileBytes int64 // of a file, 0 means 128 MiB
	AsStored     bool  // do not turn upright

	// Context, when it is not nil, ends the decoding of an image when it ends itself, with
	// its error.
	Context context.Context
}

// Info is what a file says of itself.
type Info struct {
	Format        string // jpeg, png, gif, webp, bmp or tiff
	Width, Height int    // as stored
	Orientation   int    // of the EXIF data, 1 to 8; 0 when there is none
}

var extensions = []string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".jfif", ".jpe"}

// Named says whether a file's name ends as that of an image this package reads.
func Named(name string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(name)))
}

// Read decodes a file. The error names it and says what to do.
//
// Grey is Pillow's luma of the colours.
func Read(path string, o Options) (transforms.Image, Info, error) {
	content, _, err := Load(path, o)
	if err != nil {
		return transforms.Image{}, Info{}, err
	}
	m, info, err := Decode(content, o)
	if err != nil {
		err = fmt.Errorf("image %s: %w", path, err)
	}
	return m, info, err
}

// Load returns a file's content, to be decoded, and what the file system says of it.
// The error names the file.
func Load(path string, o Options) ([]byte, fs.FileInfo, error) {
	most := o.MaxFileBytes
	if most == 0 {
		most = 128 << 20
	}
	f, err := regular.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("image: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("image: %w", err)
	case st.Size() > most:
		return nil, nil, fmt.Errorf("image %s: has %d MB, where %d are possible; make it smaller first", path, st.Size()>>20, most>>20)
	}
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(content)) > most {
		err = errors.New("grew while it was read")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("image %s: %w", path, err)
	}
	return content, st, nil
}

// Decode is Read for a file's content.
func Decode(content []byte, o Options) (transforms.Image, Info, error) {
	return DecodePart(content, o, nil)
}

// Inspect reads what a file says of itself, and decodes nothing.
func Inspect(content []byte, o Options) (info Info, err error) {
	defer stumbled(new(bool), &err)
	f, err := formatOf(content)
	if err != nil {
		return info, err
	}
	width, height, err := f.size(content)
	if err != nil {
		return info, undecodable(f.name, err)
	}
	info = Info{f.name, width, height, orientation(f.name, content)}
	if info.Width < 1 || info.Height < 1 {
		return info, fmt.Errorf("has no pixels (%dx%d)", info.Width, info.Height)
	}
	return info, o.within(info.Width, info.Height)
}

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
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data/transforms"
)

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

// Decode is Read for a file's content.
func Decode(content []byte, o Options) (transforms.Image, Info, error) {
	return DecodePart(content, o, nil)
}

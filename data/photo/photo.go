// Package photo reads a user's image files: JPEG, PNG, GIF, WebP, BMP and TIFF. It applies the
// orientation in their EXIF data and returns planes of 8-bit grey or of red, green and blue.
// Files may be damaged or hostile: sizes are checked before anything is decoded, and a panic
// in a decoder becomes an error.
//
// Read decodes one file:
//
//	m, info, err := photo.Read("cat.jpg", photo.Options{})
//
// Options sets the channels and the limits, Inspect reads only the headers, and a Budget
// bounds the memory of all images that are decoded at the same time.
//
// The same rule applies to every format, depth and mode: a pixel has the colour that the file
// stores for it, as in Pillow's Image.open(f).convert("RGB").
//
//   - Transparency is ignored, whether it is an alpha channel, a transparent colour or an
//     entry of a palette. A fully transparent pixel has its stored colour and is not black.
//   - Gamma, colour profiles and background colours are ignored.
//   - Samples of 1, 2 and 4 bits are scaled to 8 bits; of 16 bits the upper 8 are used.
//   - Only the first frame or page is read, with all of its canvas. Around a smaller frame, a
//     GIF file has the transparent colour or the first one of the palette, and a WebP file is
//     black. A pixel with a colour that is missing in the palette is black.
//   - Lossy WebP is converted to RGB as in libwebp, JPEG as in libjpeg-turbo.
//
// In a few cases the result differs from Pillow's, because that is not useful. Pillow clips
// 16-bit grey at 255, so that almost all of it becomes white; here it is scaled like any other
// 16-bit sample. Pillow may leave missing rows of a PNG file black; here such a file is an
// error, and so is one whose pixels have wrong checksums. BMP files with a palette of two greys
// or with unusual masks, GIF files whose own palette is a ramp of greys, and TIFF files with
// planes of 16 bits are read as the documentation of the format says; Pillow misreads or
// refuses them.
//
// Some TIFF files are refused: those with samples that are not unsigned integers, with YCbCr
// that is not JPEG, or with a recent compression. The error for these, and for HEIC, AVIF, JPEG
// XL, camera raw and other files, says what the file is and to convert it.
//
// Package jpeg decodes all JPEG files, with any sampling and any colours that Pillow knows, to
// the same pixels. A file that is cut short is an error, as in Pillow by default, but its end
// marker may be missing if the image is complete.
package photo

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data/transforms"
)

var extensions = []string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".jfif", ".jpe"}

// Named reports whether a file name has the extension of a format that this package reads.
func Named(name string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(name)))
}

// Read decodes a file. The error names the file and gives the next step. Grey is Pillow's luma
// of the colours.
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

// Decode is Read for the content of a file.
func Decode(content []byte, o Options) (transforms.Image, Info, error) {
	return DecodePart(content, o, nil)
}

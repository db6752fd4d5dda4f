package photo

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"io"

	"github.com/residual-ml/residual/data/transforms"
)

// format is a kind of file that this package decodes. Of a file whose size is beyond the
// limits nothing but that is read.
type format struct {
	name   string
	is     func(content []byte) bool
	size   func(content []byte) (width, height int, err error)
	decode func(content []byte) (transforms.Image, error) // in 1 channel or 3, not turned
}

var formats = []format{
	{"jpeg", starts("\xff\xd8"), jpegSize, jpegImage},
	{"png", starts(pngSignature), pngSize, pngImage},
	{"gif", func(b []byte) bool { return starts("GIF87a")(b) || starts("GIF89a")(b) }, gifSize, gifImage},
	{"webp", func(b []byte) bool { return len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP" }, webpSize, webpImage},
	{"bmp", isBMP, bmpSize, bmpImage},
	{"tiff", isTIFF, tiffSize, tiffImage},
}

// mostRow is how many bytes a row may have where one is held beside the image: no more than
// eight million pixels need.
const mostRow = 64 << 20

// formatOf finds a file's kind by its content.
func formatOf(content []byte) (format, error) {
	for _, f := range formats {
		if f.is(content) {
			return f, nil
		}
	}
	return format{}, foreign(content)
}

func starts(with string) func([]byte) bool {
	return func(b []byte) bool { return bytes.HasPrefix(b, []byte(with)) }
}

func jpegSize(content []byte) (width, height int, err error) {
	config, err := jpeg.DecodeConfig(bytes.NewReader(content))
	return config.Width, config.Height, err
}

// jpegImage has the last word on what jpegPart does not decode.
func jpegImage(content []byte) (transforms.Image, error) {
	img, err := jpeg.Decode(bytes.NewReader(content))
	if err != nil {
		return transforms.Image{}, err
	}
	return transforms.FromImage(img, 3), nil
}

// errUnsupported is the error, wrapped, of a whole file of a kind that is not decoded.
var errUnsupported = errors.New("unsupported")

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUnsupported, fmt.Sprintf(format, args...))
}

func damaged(format string, args ...any) error { return fmt.Errorf(format, args...) }

// atEnd makes the end of a file what it is inside of its data.
func atEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// undecodable says what is wrong with a file of a known format, and what to do.
func undecodable(format string, err error) error {
	switch {
	case errors.Is(err, errUnsupported):
		return fmt.Errorf("is a %s file of a kind that is not read (%w); convert it to JPEG or PNG", format, err)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, jpeg.FormatError("short Huffman data")):
		return fmt.Errorf("is a %s file that cannot be decoded (%w); it is cut short: give another copy", format, err)
	}
	return fmt.Errorf("is a %s file that cannot be decoded (%w); it is damaged: give another copy", format, err)
}

package photo

import (
	"github.com/residual-ml/residual/data/jpeg"
	"github.com/residual-ml/residual/data/transforms"
)

// format is a file format that this package decodes. Of an image that is too large, only the
// size is read.
type format struct {
	name   string
	is     func(content []byte) bool
	size   func(content []byte) (width, height int, err error)
	decode func(content []byte) (transforms.Image, error) // returns 1 or 3 channels, without applying the orientation; nil for JPEG, which jpegPart decodes
}

var formats = []format{
	{"jpeg", starts("\xff\xd8"), jpegSize, nil},
	{"png", starts(pngSignature), pngSize, pngImage},
	{"gif", func(b []byte) bool { return starts("GIF87a")(b) || starts("GIF89a")(b) }, gifSize, gifImage},
	{"webp", func(b []byte) bool { return len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP" }, webpSize, webpImage},
	{"bmp", isBMP, bmpSize, bmpImage},
	{"tiff", isTIFF, tiffSize, tiffImage},
}

// formatOf recognises the format of a file by its content.
func formatOf(content []byte) (format, error) {
	for _, f := range formats {
		if f.is(content) {
			return f, nil
		}
	}
	return format{}, foreign(content)
}

func jpegSize(content []byte) (width, height int, err error) {
	i, err := jpeg.Inspect(content)
	return i.Width, i.Height, err
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/webp"
)

// mostPixels bounds the memory that decoding one image takes.
const mostPixels = 50_000_000

// readImage decodes an image file. Its size is checked before anything is
// decoded; the error names the file.
func readImage(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	defer f.Close()
	img, err := decodeImage(f)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", path, err)
	}
	return img, nil
}

func decodeImage(f io.ReadSeeker) (img image.Image, err error) {
	defer func() { // a decoder that stumbles over a damaged file
		if r := recover(); r != nil {
			img, err = nil, fmt.Errorf("cannot be decoded (%v); give another file", r)
		}
	}()
	config, kind, err := image.DecodeConfig(bufio.NewReader(f))
	if errors.Is(err, image.ErrFormat) {
		return nil, errors.New("is no PNG, JPEG, GIF, WebP or BMP file; convert it to one of these")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot be decoded (%w); give another file", err)
	}
	if config.Width < 1 || config.Height < 1 {
		return nil, fmt.Errorf("has no pixels (%dx%d)", config.Width, config.Height)
	}
	if int64(config.Width)*int64(config.Height) > mostPixels {
		return nil, fmt.Errorf("is too large: %dx%d, where %d megapixels are possible; make it smaller first", config.Width, config.Height, mostPixels/1_000_000)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if img, _, err = image.Decode(bufio.NewReader(f)); err != nil {
		return nil, fmt.Errorf("is a %s file that cannot be decoded (%w); it may be cut short: give another copy", kind, err)
	}
	return img, nil
}

package photo

import (
	"context"
	"fmt"
)

// Options says how to read images. The zero value gives colour, within the usual limits.
type Options struct {
	Channels     int   // 1 for grey, 3 for colour; 0 means 3
	MaxPixels    int64 // the most pixels of an image; 0 means DefaultMaxPixels. Decoding needs 4 to 8 bytes for each
	MaxFileBytes int64 // the largest file in bytes; 0 means 128 MiB
	AsStored     bool  // ignore the EXIF orientation

	// Context, when not nil, stops decoding when it ends; the error is then that of the
	// context.
	Context context.Context
}

// Info describes an image file by its headers.
type Info struct {
	Format        string // jpeg, png, gif, webp, bmp or tiff
	Width, Height int    // pixels, as stored
	Orientation   int    // the EXIF orientation, 1 to 8; 0 when there is none
}

// DefaultMaxPixels is the default of Options.MaxPixels. Images with more pixels are not decoded.
const DefaultMaxPixels = 50_000_000

// TooLargeError is the error for an image with more pixels than Options.MaxPixels. It is wrapped
// in the errors of this package.
type TooLargeError struct {
	Width, Height int
	MaxPixels     int64
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("is too large: %dx%d are %d pixels, where %d pixels are possible; make it smaller, or allow more pixels", e.Width, e.Height, e.Pixels(), e.MaxPixels)
}

// Pixels returns the number of pixels of the image.
func (e *TooLargeError) Pixels() int64 { return int64(e.Width) * int64(e.Height) }

// within returns an error if an image is larger than o allows.
func (o Options) within(width, height int) error {
	e := &TooLargeError{width, height, o.MaxPixels}
	if e.MaxPixels == 0 {
		e.MaxPixels = DefaultMaxPixels
	}
	if e.Pixels() > e.MaxPixels {
		return e
	}
	return nil
}

// context returns the context of the options, or one that never ends.
func (o Options) context() context.Context {
	if o.Context == nil {
		return context.Background()
	}
	return o.Context
}

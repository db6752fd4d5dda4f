package photo

import (
	"context"
	"fmt"
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

// DefaultMaxPixels is the size of an image beyond which it is not decoded, unless
// Options.MaxPixels says another.
const DefaultMaxPixels = 50_000_000

// TooLargeError is the error, wrapped, of an image of more than Options.MaxPixels.
type TooLargeError struct {
	Width, Height int
	MaxPixels     int64
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("is too large: %dx%d are %d pixels, where %d pixels are possible; make it smaller, or allow more pixels", e.Width, e.Height, e.Pixels(), e.MaxPixels)
}

// Pixels is how many the image has.
func (e *TooLargeError) Pixels() int64 { return int64(e.Width) * int64(e.Height) }

// within is an error where an image is larger than o allows.
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

// context is that of the options, or one that never ends.
func (o Options) context() context.Context {
	if o.Context == nil {
		return context.Background()
	}
	return o.Context
}

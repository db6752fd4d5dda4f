package photo

import (
	"bytes"
	"errors"
	header "image/jpeg"

	"github.com/residual-ml/residual/data/jpeg"
)

// parseJPEG is parse for a file whose blocks are JPEG files, which describe their colours
// themselves (TIFF Technical Note 2).
func (f *tiffFile) parseJPEG() error {
	grey := (f.photometric == tiffWhiteIsZero || f.photometric == 1) && f.samples == 1
	colour := (f.photometric == tiffRGB || f.photometric == tiffYCbCr) && f.samples == 3
	if f.bits != 8 || f.planar || !grey && !colour {
		return unsupported("JPEG with %d samples of %d bits and colours of kind %d", f.samples, f.bits, f.photometric)
	}
	return f.blocks()
}

// jpegBlock decodes a block, of which height rows are inside the image.
func (f *tiffFile) jpegBlock(into *tiffPixels, number int64, x, y, height int) error {
	data, err := f.data(number)
	if err != nil {
		return err
	}
	// Tables that all blocks share are a JPEG file without a scan, to be put before each block.
	if tables := f.bytes(tiffJPEGTables); len(tables) > 4 && len(data) > 2 {
		data = append(bytes.Clone(tables[:len(tables)-2]), data[2:]...)
	}
	config, err := header.DecodeConfig(bytes.NewReader(data))
	w, h := config.Width, config.Height
	if err == nil && (w != f.blockWidth || h < height || h > f.blockHeight) {
		err = damaged("a block of %dx%d should have %dx%d", w, h, f.blockWidth, f.blockHeight)
	}
	var p jpeg.Image
	if err == nil {
		p, err = jpeg.Decode(data)
	}
	switch {
	case errors.Is(err, jpeg.ErrUnsupported):
		return unsupported("%v", err)
	case err != nil:
		return err
	case p.Channels != f.samples:
		return damaged("a block has %d colours, not %d", p.Channels, f.samples)
	}
	for c := range p.Channels {
		for i := range height {
			into.put(p.Pix[(c*h+i)*w:][:w], c, 1, x, y+i, min(w, f.width-x))
		}
	}
	return nil
}

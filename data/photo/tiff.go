package photo

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"io"
	"math/bits"

	"golang.org/x/image/ccitt"
	"golang.org/x/image/tiff/lzw"

	"github.com/residual-ml/residual/data/transforms"
)

// parse reads the values that the decoder needs, and returns an error for kinds that it does not
// decode.
func (f *tiffFile) parse() error {
	f.width, f.height = f.first(tiffWidth, 0), f.first(tiffHeight, 0)
	f.bits, f.samples = f.first(tiffBits, 1), f.first(tiffSamples, 1)
	f.photometric, f.compression = f.first(tiffPhotometric, -1), f.first(tiffCompression, 1)
	f.planar = f.first(tiffPlanar, 1) == 2 && f.samples > 1
	for i := range min(f.count(tiffBits), 16) {
		if v, ok := f.value(tiffBits, i); ok && int(v) != f.bits {
			return unsupported("samples of different sizes")
		}
	}
	if f.compression == tiffJPEG {
		return f.parseJPEG()
	}
	minSamples, known := map[int]int{0: 1, 1: 1, tiffRGB: 3, tiffPalette: 1, tiffCMYK: 4}[f.photometric]
	small := f.bits == 1 || f.bits == 2 || f.bits == 4
	switch predictor := f.first(tiffPredictor, 1); {
	case !known:
		return unsupported("colours of kind %d", f.photometric)
	case f.first(tiffSampleFormat, 1) != 1:
		return unsupported("samples that are signed or floating-point numbers")
	case f.bits != 8 && f.bits != 16 && !(small && f.samples == 1), f.photometric == tiffPalette && f.bits > 8:
		return unsupported("%d samples of %d bits", f.samples, f.bits)
	case f.samples < minSamples || f.samples > 16:
		return damaged("it has %d samples a pixel", f.samples)
	case predictor != 1 && (predictor != 2 || small):
		return unsupported("predictor %d of %d bits", predictor, f.bits)
	}
	if f.photometric == tiffPalette {
		n := int64(1) << f.bits
		for i := range 3 * n {
			v, ok := f.value(tiffColorMap, i)
			if !ok {
				return damaged("its palette is too short")
			}
			f.palette[i%n][i/n] = uint8(v >> 8)
		}
	}
	return f.blocks()
}

// blocks reads and checks the size of the strips or tiles.
func (f *tiffFile) blocks() error {
	f.blockWidth, f.blockHeight = f.width, min(f.first(tiffRowsPerStrip, f.height), f.height)
	if f.count(tiffTileOffsets) > 0 {
		f.blockWidth, f.blockHeight = f.first(tiffTileWidth, 0), f.first(tiffTileHeight, 0)
	}
	if f.blockWidth < 1 || f.blockHeight < 1 {
		return damaged("its parts are %dx%d", f.blockWidth, f.blockHeight)
	}
	if bytes := int64(f.blockWidth) * int64(f.samples*f.bits) / 8; bytes > maxRowBytes {
		return unsupported("rows of %d bytes", bytes)
	}
	if int64(f.blockWidth)*int64(f.blockHeight) > 4*int64(f.width)*int64(f.height)+1<<20 {
		return damaged("its tiles are %dx%d, and it is %dx%d", f.blockWidth, f.blockHeight, f.width, f.height)
	}
	if across := (f.width + f.blockWidth - 1) / f.blockWidth; int64(across)*int64(f.blockWidth) > 4*int64(f.width)+1024 {
		return damaged("its tiles are %d wide, and it is %d", f.blockWidth, f.width)
	}
	return nil
}

// tiffImage decodes the first page: grey of 1 to 16 bits, palettes, RGB of 8 and 16 bits, CMYK of
// 8 bits, with and without alpha, in strips or tiles, uncompressed or compressed by LZW, Deflate,
// PackBits, JPEG or CCITT fax encoding.
func tiffImage(content []byte) (transforms.Image, error) {
	f, err := tiffEntries(content)
	if err != nil {
		return transforms.Image{}, err
	}
	if err := f.parse(); err != nil {
		return transforms.Image{}, err
	}
	offsets := uint16(tiffStripOffsets)
	if f.count(tiffTileOffsets) > 0 {
		offsets = tiffTileOffsets
	}
	if f.count(offsets) == 0 {
		return transforms.Image{}, damaged("it holds no pixels")
	}
	planes := 1
	if f.planar {
		planes = f.samples
	}
	into := newTIFFPixels(&f)
	number := int64(0)
	for plane := range planes {
		for y := 0; y < f.height; y += f.blockHeight {
			for x := 0; x < f.width; x += f.blockWidth {
				if err := f.block(into, number, plane, x, y); err != nil {
					return transforms.Image{}, err
				}
				number++
			}
		}
	}
	return into.image(), nil
}

// block decodes a strip or a tile, row by row.
func (f *tiffFile) block(into *tiffPixels, number int64, plane, x, y int) error {
	height := min(f.blockHeight, f.height-y)
	if f.compression == tiffJPEG {
		return f.jpegBlock(into, number, x, y, height)
	}
	in, err := f.open(number, height)
	if err != nil {
		return err
	}
	samples := f.samples
	if f.planar {
		samples = 1
	}
	row := make([]uint8, (f.blockWidth*samples*f.bits+7)/8)
	for i := range height {
		if _, err := io.ReadFull(in, row); err != nil {
			return atEnd(err)
		}
		if f.predicted() {
			f.undoPredictor(row, samples)
		}
		into.put(row, plane, samples, x, y+i, min(f.blockWidth, f.width-x))
	}
	return nil
}

// data returns the compressed bytes of a block.
func (f *tiffFile) data(number int64) ([]byte, error) {
	offsets, counts := uint16(tiffStripOffsets), uint16(tiffStripBytes)
	if f.count(tiffTileOffsets) > 0 {
		offsets, counts = tiffTileOffsets, tiffTileBytes
	}
	at, ok := f.value(offsets, number)
	if !ok || at > int64(len(f.content)) {
		return nil, io.ErrUnexpectedEOF
	}
	data := f.content[at:]
	if n, ok := f.value(counts, number); ok {
		data = data[:min(n, int64(len(data)))]
	}
	return data, nil
}

// open returns a reader of the uncompressed bytes of a block.
func (f *tiffFile) open(number int64, height int) (io.Reader, error) {
	data, err := f.data(number)
	if err != nil {
		return nil, err
	}
	if f.count(tiffTileOffsets) > 0 {
		height = f.blockHeight
	}
	if f.first(tiffFillOrder, 1) == 2 { // the lowest bit of a byte comes first
		data = bytes.Clone(data)
		for i, v := range data {
			data[i] = bits.Reverse8(v)
		}
	}
	in := bytes.NewReader(data)
	switch f.compression {
	case 1:
		return in, nil
	case 3, 4:
		if f.bits != 1 || f.first(tiffT4Options, 0)&1 != 0 && f.compression == 3 {
			return nil, unsupported("two-dimensional fax encoding")
		}
		kind := ccitt.Group4
		if f.compression == 3 {
			kind = ccitt.Group3
		}
		return ccitt.NewReader(in, ccitt.MSB, kind, f.blockWidth, height, &ccitt.Options{Invert: true}), nil
	case 5:
		return lzw.NewReader(in, lzw.MSB, 8), nil
	case 8, 32946:
		z, err := zlib.NewReader(in)
		return z, atEnd(err)
	case 32773:
		return &packBits{in: data}, nil
	}
	names := map[int]string{2: "CCITT fax", 6: "old-style JPEG", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"}
	return nil, unsupported("compression %s", cmp.Or(names[f.compression], "of another kind"))
}

// predicted reports whether rows hold differences, which only LZW and Deflate support.
func (f *tiffFile) predicted() bool {
	return f.first(tiffPredictor, 1) == 2 && (f.compression == 5 || f.compression == 8 || f.compression == 32946)
}

// undoPredictor reverses the horizontal predictor (TIFF 6.0, section 14).
func (f *tiffFile) undoPredictor(row []uint8, samples int) {
	if f.bits == 8 {
		for i := samples; i < len(row); i++ {
			row[i] += row[i-samples]
		}
		return
	}
	for i := 2 * samples; i+1 < len(row); i += 2 {
		f.order.PutUint16(row[i:], f.order.Uint16(row[i:])+f.order.Uint16(row[i-2*samples:]))
	}
}

// packBits decodes the PackBits compression (TIFF 6.0, section 9).
type packBits struct {
	in     []byte
	repeat int // how often the next byte is still repeated
	copy   int // how many bytes are still copied
}

func (r *packBits) Read(p []byte) (n int, err error) {
	for n < len(p) {
		switch {
		case r.copy > 0 && len(r.in) > 0:
			m := copy(p[n:], r.in[:min(r.copy, len(r.in))])
			r.in, r.copy, n = r.in[m:], r.copy-m, n+m
		case r.repeat > 0 && len(r.in) > 0:
			p[n] = r.in[0]
			n++
			if r.repeat--; r.repeat == 0 {
				r.in = r.in[1:]
			}
		case len(r.in) == 0:
			return n, io.EOF
		default:
			if c := int8(r.in[0]); c >= 0 {
				r.copy = int(c) + 1
			} else if c != -128 {
				r.repeat = 1 - int(c)
			}
			r.in = r.in[1:]
		}
	}
	return n, nil
}

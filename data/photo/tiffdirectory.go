package photo

import (
	"encoding/binary"
	"io"
)

// These are the tags and values of TIFF 6.0 that this package uses.
const (
	tiffNewSubfileType = 254
	tiffWidth          = 256
	tiffHeight         = 257
	tiffBits           = 258
	tiffCompression    = 259
	tiffPhotometric    = 262
	tiffFillOrder      = 266
	tiffStripOffsets   = 273
	tiffSamples        = 277
	tiffRowsPerStrip   = 278
	tiffStripBytes     = 279
	tiffPlanar         = 284
	tiffT4Options      = 292
	tiffPredictor      = 317
	tiffColorMap       = 320
	tiffTileWidth      = 322
	tiffTileHeight     = 323
	tiffTileOffsets    = 324
	tiffTileBytes      = 325
	tiffSubIFDs        = 330
	tiffExtraSamples   = 338
	tiffSampleFormat   = 339
	tiffJPEGTables     = 347
	tiffDNGVersion     = 50706

	tiffWhiteIsZero = 0
	tiffRGB         = 2
	tiffPalette     = 3
	tiffCMYK        = 5
	tiffYCbCr       = 6
	tiffCFA         = 32803 // the colour filter array of a camera sensor
	tiffLinearRaw   = 34892

	tiffJPEG = 7 // a compression
)

// tiffFile is the first directory of a file and the values that parse finds there.
type tiffFile struct {
	content []byte
	order   binary.ByteOrder
	entries map[uint16][]byte // entries of 12 bytes by tag

	width, height, bits, samples int
	photometric, compression     int
	planar                       bool // each sample has a plane of its own
	blockWidth, blockHeight      int  // of a tile or a strip
	palette                      palette
}

// isTIFF reports whether b is a TIFF file that is not a camera raw file.
func isTIFF(b []byte) bool { return hasTIFF(b) && !isRaw(b) }

func hasTIFF(b []byte) bool { return starts("II*\x00")(b) || starts("MM\x00*")(b) }

// isRaw reports whether b is a camera raw file. Its first image is a small preview or unprocessed
// sensor data.
func isRaw(b []byte) bool {
	if !hasTIFF(b) {
		return false
	}
	f, err := tiffEntries(b)
	if err != nil {
		return false
	}
	photometric := f.first(tiffPhotometric, 0)
	return f.count(tiffDNGVersion) > 0 || len(b) > 10 && string(b[8:10]) == "CR" ||
		photometric == tiffCFA || photometric == tiffLinearRaw ||
		f.first(tiffNewSubfileType, 0)&1 != 0 && f.count(tiffSubIFDs) > 0
}

func tiffSize(content []byte) (width, height int, err error) {
	f, err := tiffEntries(content)
	return f.first(tiffWidth, 0), f.first(tiffHeight, 0), err
}

// tiffEntries reads the first directory.
func tiffEntries(content []byte) (f tiffFile, err error) {
	if len(content) < 8 {
		return f, io.ErrUnexpectedEOF
	}
	f.content, f.order, f.entries = content, binary.LittleEndian, map[uint16][]byte{}
	if content[0] == 'M' {
		f.order = binary.BigEndian
	}
	at := int64(f.order.Uint32(content[4:]))
	if at+2 > int64(len(content)) {
		return f, io.ErrUnexpectedEOF
	}
	n := int64(f.order.Uint16(content[at:]))
	if at+2+12*n > int64(len(content)) {
		return f, io.ErrUnexpectedEOF
	}
	for i := range n {
		e := content[at+2+12*i:][:12]
		f.entries[f.order.Uint16(e)] = e
	}
	return f, nil
}

// count returns the number of values of a tag, 0 without the tag.
func (f *tiffFile) count(tag uint16) int64 {
	e, ok := f.entries[tag]
	if !ok {
		return 0
	}
	return int64(f.order.Uint32(e[4:]))
}

// value returns value i of a tag. ok is false unless it is a BYTE, SHORT or LONG inside the file.
func (f *tiffFile) value(tag uint16, i int64) (v int64, ok bool) {
	e := f.entries[tag]
	if i >= f.count(tag) {
		return 0, false
	}
	size := map[uint16]int64{1: 1, 3: 2, 4: 4}[f.order.Uint16(e[2:])]
	values := e[8:]
	if f.count(tag)*size > 4 {
		values = f.content[min(int64(f.order.Uint32(e[8:])), int64(len(f.content))):]
	}
	if (i+1)*size > int64(len(values)) {
		return 0, false
	}
	switch values = values[i*size:]; size {
	case 1:
		return int64(values[0]), true
	case 2:
		return int64(f.order.Uint16(values)), true
	case 4:
		return int64(f.order.Uint32(values)), true
	}
	return 0, false
}

// first returns the first value of a tag, or otherwise without the tag.
func (f *tiffFile) first(tag uint16, otherwise int) int {
	if v, ok := f.value(tag, 0); ok && v < 1<<31 {
		return int(v)
	}
	return otherwise
}

// bytes returns the value of a tag with more than four bytes.
func (f *tiffFile) bytes(tag uint16) []byte {
	n := f.count(tag)
	if n <= 4 {
		return nil
	}
	at := int64(f.order.Uint32(f.entries[tag][8:]))
	if at+n > int64(len(f.content)) {
		return nil
	}
	return f.content[at : at+n]
}

package photo

import (
	"bytes"
	"encoding/binary"
	"math"
	"regexp"
)

// orientation returns the orientation of a file, 1 to 8, as Pillow's exif_transpose finds it: in
// the EXIF data or, if these do not have it, in the XMP data. It is 0 when there is none or when
// it is damaged, which is not an error of the image.
func orientation(format string, content []byte) int {
	switch format {
	case "jpeg":
		return orientationIn(metadataOfJPEG(content))
	case "png":
		return orientationIn(findPNGChunk(content, "eXIf", nil), xmpOfPNG(content))
	case "webp":
		return orientationIn(exifOfWebP(content), webpChunk(content, "XMP "))
	case "tiff":
		return orientationOf(content)
	}
	return 0
}

// orientationIn searches EXIF data and then XMP data.
func orientationIn(exif, xmp []byte) int {
	if len(exif) > 0 {
		if v, there := tiffOrientation(exif); there {
			return v
		}
	}
	if m := xmpOrientation.FindSubmatch(xmp); m != nil {
		return validOrientation(float64(m[1][0] - '0'))
	}
	return 0
}

var (
	exifHeader = []byte("Exif\x00\x00")
	xmpHeader  = []byte("http://ns.adobe.com/xap/1.0/\x00")

	xmpOrientation = regexp.MustCompile(`tiff:Orientation(?:="|>)([0-9])`)
)

// metadataOfJPEG reads the segments before the image data (ITU-T T.81, section B.1). EXIF data may
// be split over several segments; of several XMP segments the last one is used.
func metadataOfJPEG(b []byte) (exif, xmp []byte) {
	for at := 2; ; {
		for at < len(b) && b[at] != 0xff { // skip bytes between segments
			at++
		}
		for at < len(b) && b[at] == 0xff {
			at++
		}
		if at+3 > len(b) {
			return exif, xmp
		}
		marker := b[at]
		at++
		switch {
		case marker <= 0x01 || marker >= 0xd0 && marker <= 0xd8: // no length
			continue
		case marker == 0xda || marker == 0xd9: // the image data, or the end
			return exif, xmp
		}
		n := int(binary.BigEndian.Uint16(b[at:]))
		if n < 2 || at+n > len(b) {
			return exif, xmp
		}
		if segment := b[at+2 : at+n]; marker == 0xe1 {
			if part, ok := bytes.CutPrefix(segment, exifHeader); ok {
				exif = append(exif[:len(exif):len(exif)], part...)
			} else if part, ok := bytes.CutPrefix(segment, xmpHeader); ok {
				xmp = part
			}
		}
		at += n
	}
}

// findPNGChunk finds the first chunk of a type whose data begin with start (PNG specification,
// third edition, 5.3), and returns the data after start.
func findPNGChunk(b []byte, kind string, start []byte) []byte {
	const signature = 8
	for b = b[min(signature, len(b)):]; len(b) >= 12; {
		n := int64(binary.BigEndian.Uint32(b))
		if n+12 > int64(len(b)) {
			return nil
		}
		if body, ok := bytes.CutPrefix(b[8:8+n], start); ok && string(b[4:8]) == kind {
			return body
		}
		b = b[12+n:]
	}
	return nil
}

// xmpOfPNG finds the XMP data, which are an uncompressed iTXt chunk (11.3.3.4).
func xmpOfPNG(b []byte) []byte {
	return findPNGChunk(b, "iTXt", []byte("XML:com.adobe.xmp\x00\x00"))
}

// exifOfWebP finds the EXIF data of a WebP file. Some writers put the header of JPEG before them.
func exifOfWebP(b []byte) []byte { return bytes.TrimPrefix(webpChunk(b, "EXIF"), exifHeader) }

// webpChunk finds a chunk of a RIFF file
// (https://developers.google.com/speed/webp/docs/riff_container).
func webpChunk(b []byte, name string) []byte {
	const header = 12
	for b = b[min(header, len(b)):]; len(b) >= 8; {
		n := int64(binary.LittleEndian.Uint32(b[4:]))
		if n+8 > int64(len(b)) {
			return nil
		}
		if string(b[:4]) == name {
			return b[8 : 8+n]
		}
		b = b[min(8+n+n&1, int64(len(b))):]
	}
	return nil
}

// orientationOf returns the orientation in TIFF data, 1 to 8, or 0 when there is none.
func orientationOf(tiff []byte) int {
	v, _ := tiffOrientation(tiff)
	return v
}

// tiffOrientation reads tag 0x0112 of the first directory of TIFF data. It should be a SHORT
// (EXIF 2.32, section 4.6), but some writers use other types. Like Pillow, it accepts 1 to 8 in
// any numeric type, but not BYTE and UNDEFINED, which are bytes to Pillow. there is false when
// the directory does not have the tag, so that XMP data may have it; it is true for data without
// a valid header.
func tiffOrientation(tiff []byte) (v int, there bool) {
	tiff = bytes.TrimPrefix(tiff, exifHeader) // some writers repeat it
	if len(tiff) < 8 {
		return 0, true
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00", "II\x00*":
		order = binary.LittleEndian
	case "MM\x00*", "MM*\x00", "MM\x00+":
		order = binary.BigEndian
	default:
		return 0, true
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 0, false
	}
	count := int64(order.Uint16(tiff[at:]))
	for i := range count {
		entry := at + 2 + 12*i
		if entry+12 > int64(len(tiff)) {
			return 0, false
		}
		e := tiff[entry : entry+12]
		if order.Uint16(e) != 0x0112 {
			continue
		}
		if value, ok := firstNumber(tiff, e, order); ok {
			return validOrientation(value), true
		}
	}
	return 0, false
}

// validOrientation returns v if it is an orientation, otherwise 0.
func validOrientation(v float64) int {
	if i := int(v); i >= 1 && i <= 8 && float64(i) == v {
		return i
	}
	return 0
}

// tiffTypes lists the size in bytes of a value of each type (TIFF 6.0, section 2, and its
// supplements). It is 0 for unknown types.
var tiffTypes = [...]int64{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}

// firstNumber returns the first value of a directory entry, or NaN for a type that is not a
// number. ok is false when the entry is damaged.
func firstNumber(tiff, e []byte, order binary.ByteOrder) (v float64, ok bool) {
	kind, count := order.Uint16(e[2:]), int64(order.Uint32(e[4:]))
	if int(kind) >= len(tiffTypes) || tiffTypes[kind] == 0 || count == 0 {
		return 0, false
	}
	value := e[8:12]
	if size := count * tiffTypes[kind]; size > 4 {
		at := int64(order.Uint32(value))
		if at+size > int64(len(tiff)) {
			return 0, false
		}
		value = tiff[at : at+size]
	}
	switch kind {
	case 3:
		return float64(order.Uint16(value)), true
	case 4, 13:
		return float64(order.Uint32(value)), true
	case 5:
		return float64(order.Uint32(value)) / float64(order.Uint32(value[4:])), true
	case 6:
		return float64(int8(value[0])), true
	case 8:
		return float64(int16(order.Uint16(value))), true
	case 9:
		return float64(int32(order.Uint32(value))), true
	case 10:
		return float64(int32(order.Uint32(value))) / float64(int32(order.Uint32(value[4:]))), true
	case 11:
		return float64(math.Float32frombits(order.Uint32(value))), true
	case 12:
		return math.Float64frombits(order.Uint64(value)), true
	case 16:
		return float64(order.Uint64(value)), true
	}
	return math.NaN(), true
}

package photo

import (
	"bytes"
	"encoding/binary"
)

// orientation finds the EXIF orientation in a file, 1 to 8; 0 when there is none, or
// none that can be read: a picture without it is still a picture.
func orientation(format string, content []byte) int {
	switch format {
	case "jpeg":
		return orientationOf(exifOfJPEG(content))
	case "png":
		return orientationOf(exifOfPNG(content))
	case "webp":
		return orientationOf(exifOfWebP(content))
	case "tiff":
		return orientationOf(content)
	}
	return 0
}

var exifHeader = []byte("Exif\x00\x00")

// exifOfJPEG walks the segments up to the picture's data, as ITU-T T.81 section B.1
// lays them out, to the APP1 that holds EXIF data.
func exifOfJPEG(b []byte) []byte {
	if len(b) < 2 {
		return nil
	}
	for b = b[2:]; len(b) >= 4; {
		if b[0] != 0xff {
			return nil
		}
		marker := b[1]
		switch {
		case marker == 0xff: // filling
			b = b[1:]
			continue
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd8: // no length
			b = b[2:]
			continue
		case marker == 0xda || marker == 0xd9: // the data, or the end
			return nil
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n < 2 || n+2 > len(b) {
			return nil
		}
		segment := b[4 : n+2]
		if marker == 0xe1 && bytes.HasPrefix(segment, exifHeader) {
			return segment[len(exifHeader):]
		}
		b = b[n+2:]
	}
	return nil
}

// exifOfPNG finds the eXIf chunk (PNG specification, third edition, 11.3.4.5).
func exifOfPNG(b []byte) []byte {
	const signature = 8
	for b = b[min(signature, len(b)):]; len(b) >= 12; {
		n := int64(binary.BigEndian.Uint32(b))
		if n+12 > int64(len(b)) {
			return nil
		}
		if string(b[4:8]) == "eXIf" {
			return b[8 : 8+n]
		}
		b = b[12+n:]
	}
	return nil
}

// exifOfWebP finds the EXIF chunk of a RIFF file
// (https://developers.google.com/speed/webp/docs/riff_container). Some writers keep
// JPEG's header before it.
func exifOfWebP(b []byte) []byte {
	const header = 12
	for b = b[min(header, len(b)):]; len(b) >= 8; {
		n := int64(binary.LittleEndian.Uint32(b[4:]))
		if n+8 > int64(len(b)) {
			return nil
		}
		if string(b[:4]) == "EXIF" {
			return bytes.TrimPrefix(b[8:8+n], exifHeader)
		}
		b = b[min(8+n+n&1, int64(len(b))):]
	}
	return nil
}

// orientationOf reads tag 0x0112 of the first directory of TIFF data (EXIF 2.32,
// section 4.6): a SHORT from 1 to 8.
func orientationOf(tiff []byte) int {
	if len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 0
	}
	count := int64(order.Uint16(tiff[at:]))
	for i := range count {
		entry := at + 2 + 12*i
		if entry+12 > int64(len(tiff)) {
			return 0
		}
		e := tiff[entry : entry+12]
		if order.Uint16(e) != 0x0112 {
			continue
		}
		if order.Uint16(e[2:]) != 3 || order.Uint32(e[4:]) != 1 {
			return 0
		}
		if v := int(order.Uint16(e[8:])); v >= 1 && v <= 8 {
			return v
		}
		return 0
	}
	return 0
}

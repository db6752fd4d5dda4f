package photo

// maxRowBytes is the largest row in bytes that decoders keep in memory besides the image. It is
// enough for eight million pixels.
const maxRowBytes = 64 << 20

// packed returns sample i of a row whose samples have the given number of bits, the upper bits
// of a byte first.
func packed(row []uint8, i, bits int) uint8 {
	if bits == 8 {
		return row[i]
	}
	at := i * bits
	return row[at/8] << (at % 8) >> (8 - bits)
}

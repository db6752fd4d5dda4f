package photo

// mostRow is how many bytes a row may have where one is held beside the image: no more than
// eight million pixels need.
const mostRow = 64 << 20

// packed is sample i of a row with so many bits each, the upper bits of a byte first.
func packed(row []uint8, i, bits int) uint8 {
	if bits == 8 {
		return row[i]
	}
	at := i * bits
	return row[at/8] << (at % 8) >> (8 - bits)
}

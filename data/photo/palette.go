package photo

// palette is a table of colours: red, green and blue. Colours that a file lacks are black.
type palette [256][3]uint8

// set sets the palette to the table in a file. If each colour i of the table is the grey value i,
// the missing colours continue that ramp, as in Pillow for GIF and BMP files.
func (p *palette) set(table []byte) {
	grey := true
	for i, v := range table {
		grey = grey && int(v) == i/3
	}
	for i := range p {
		switch {
		case grey:
			p[i] = [3]uint8{uint8(i), uint8(i), uint8(i)}
		case 3*i+3 <= len(table):
			p[i] = [3]uint8(table[3*i:])
		default:
			p[i] = [3]uint8{}
		}
	}
}

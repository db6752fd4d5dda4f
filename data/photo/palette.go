package photo

// palette is a table of colours, red, green and blue; those that a file lacks are black.
type palette [256][3]uint8

// take makes a file's table the palette. A table whose every colour is grey, and as light
// as its number, is not needed, and goes on so for the numbers it lacks, as Pillow has it
// of GIF and BMP files.
func (p *palette) take(table []byte) {
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

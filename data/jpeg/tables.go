package jpeg

// huffmanTables reads a segment of Huffman tables (T.81, B.2.4.2).
func (d *decoder) huffmanTables(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 {
			return damaged("a table of codes is incomplete")
		}
		class, index, n := b[0]>>4, int(b[0]&15), 0
		for _, c := range b[1:17] {
			n += int(c)
		}
		if class > 1 || index > 3 || n > 256 || len(b) < 17+n {
			return damaged("a table of codes is incomplete")
		}
		t := &d.dcs[index]
		if class == 1 {
			t = &d.acs[index]
		}
		if err := t.build(b[1 : 17+n]); err != nil {
			return err
		}
		b = b[17+n:]
	}
	return nil
}

// quantTables reads a segment of quantization tables (T.81, B.2.4.1).
func (d *decoder) quantTables(b []byte) error {
	for len(b) > 0 {
		wide, index := int(b[0]>>4), int(b[0]&15)
		size := 64 * (1 + wide)
		if wide > 1 || index > 3 || len(b) < 1+size {
			return damaged("a quantization table is incomplete")
		}
		for k := range 64 {
			v := uint16(b[1+k])
			if wide == 1 {
				v = uint16(b[1+2*k])<<8 | uint16(b[2+2*k])
			}
			d.quants[index][natural[k]] = int16(v)
		}
		d.haveQuant[index] = true
		b = b[1+size:]
	}
	return nil
}

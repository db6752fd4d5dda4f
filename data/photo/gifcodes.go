package photo

import "io"

const maxGIFCodes = 4096

// gifCodes decodes the LZW compression of GIF (GIF89a, appendix F). Unlike compress/lzw, it
// accepts any size of the smallest codes for which the table has room, as Pillow does.
type gifCodes struct {
	blocks      gifBlocks
	block       []byte
	bits, nBits uint32 // bits that were read but not used
	smallest    uint32 // bits of the smallest codes
	width       uint32 // bits of the next code
	next        int    // the code that is added to the table next
	previous    int    // the previous code; -1 after a clear code
	prefix      [maxGIFCodes]uint16
	suffix      [maxGIFCodes]uint8
	pending     [maxGIFCodes]uint8 // decoded values, from index at on
	at          int
}

func newGIFCodes(data []byte, smallest int) *gifCodes {
	c := &gifCodes{blocks: gifBlocks{data}, smallest: uint32(smallest), at: maxGIFCodes}
	for i := range 1 << smallest {
		c.suffix[i] = uint8(i)
	}
	c.clear()
	return c
}

// clear removes all codes except the smallest ones and the two special ones.
func (c *gifCodes) clear() { c.width, c.next, c.previous = c.smallest+1, 1<<c.smallest+2, -1 }

// fill decodes the values of a row.
func (c *gifCodes) fill(row []uint8) error {
	for len(row) > 0 {
		if c.at == maxGIFCodes {
			if err := c.decode(); err != nil {
				return err
			}
		}
		n := copy(row, c.pending[c.at:])
		row, c.at = row[n:], c.at+n
	}
	return nil
}

// code reads a code.
func (c *gifCodes) code() (int, error) {
	for c.nBits < c.width {
		if len(c.block) == 0 {
			block, err := c.blocks.next()
			if err != nil {
				return 0, atEnd(err)
			}
			c.block = block
		}
		c.bits |= uint32(c.block[0]) << c.nBits
		c.block, c.nBits = c.block[1:], c.nBits+8
	}
	code := c.bits & (1<<c.width - 1)
	c.bits, c.nBits = c.bits>>c.width, c.nBits-c.width
	return int(code), nil
}

// decode reads codes until there are pending values.
func (c *gifCodes) decode() error {
	clear := 1 << c.smallest
	for {
		code, err := c.code()
		switch {
		case err != nil:
			return err
		case code == clear:
			c.clear()
			continue
		case code == clear+1: // the end of the data
			return io.ErrUnexpectedEOF
		case code > c.next, code == c.next && c.previous < 0, c.previous < 0 && code > clear:
			return damaged("a code of its data is not in the table")
		}
		c.expand(code)
		return nil
	}
}

// expand decodes a code to pending values, and adds a code to the table: the previous code
// followed by the first value of this one.
func (c *gifCodes) expand(code int) {
	c.at = maxGIFCodes
	from := code
	if code == c.next { // the code that is added now, whose last value equals its first
		from = c.previous
		c.at--
	}
	for ; from >= 1<<c.smallest; from = int(c.prefix[from]) {
		c.at--
		c.pending[c.at] = c.suffix[from]
	}
	c.at--
	c.pending[c.at] = c.suffix[from]
	if code == c.next {
		c.pending[maxGIFCodes-1] = c.suffix[from]
	}
	if c.previous >= 0 && c.next < maxGIFCodes {
		c.prefix[c.next], c.suffix[c.next] = uint16(c.previous), c.suffix[from]
		if c.next++; c.next == 1<<c.width && c.width < 12 {
			c.width++
		}
	}
	c.previous = code
}

// gifBlocks reads data blocks up to the first empty one.
type gifBlocks struct{ remaining []byte }

// next returns the next block, or io.EOF.
func (r *gifBlocks) next() ([]byte, error) {
	if len(r.remaining) == 0 || int(r.remaining[0]) >= len(r.remaining) {
		return nil, io.ErrUnexpectedEOF
	}
	n := int(r.remaining[0])
	block := r.remaining[1 : 1+n]
	r.remaining = r.remaining[1+n:]
	if n == 0 {
		return nil, io.EOF
	}
	return block, nil
}

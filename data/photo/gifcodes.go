package photo

import "io"

const maxGIFCodes = 4096

// gifCodes undoes GIF's LZW compression (GIF89a, appendix F). Unlike compress/lzw it takes
// any size of the smallest codes that a table has room for, as Pillow does.
type gifCodes struct {
	blocks      gifBlocks
	block       []byte
	bits, nBits uint32 // read and not yet used
	smallest    uint32 // bits of the smallest codes
	width       uint32 // bits of the next code
	next        int    // code to be added to the table
	previous    int    // code, -1 after a clear
	prefix      [maxGIFCodes]uint16
	suffix      [maxGIFCodes]uint8
	pending     [maxGIFCodes]uint8 // values of a code, from at on
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

// clear forgets all codes but the smallest and the two that have a meaning.
func (c *gifCodes) clear() { c.width, c.next, c.previous = c.smallest+1, 1<<c.smallest+2, -1 }

// fill decodes as many values as row has.
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

// decode reads codes until there are values pending.
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

// expand lists a code's values, and adds a code to the table: the previous one and the
// first value of this.
func (c *gifCodes) expand(code int) {
	c.at = maxGIFCodes
	from := code
	if code == c.next { // it is the one to be added, whose last value is its first
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

// gifBlocks reads blocks, up to one that is empty.
type gifBlocks struct{ rest []byte }

// next returns the next block, or io.EOF.
func (r *gifBlocks) next() ([]byte, error) {
	if len(r.rest) == 0 || int(r.rest[0]) >= len(r.rest) {
		return nil, io.ErrUnexpectedEOF
	}
	n := int(r.rest[0])
	block := r.rest[1 : 1+n]
	r.rest = r.rest[1+n:]
	if n == 0 {
		return nil, io.EOF
	}
	return block, nil
}

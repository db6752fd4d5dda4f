package jpeg

// refine decodes what a scan of a progressive file adds to a block (T.81, G.1.2). Each scan
// builds on the coefficients of the previous ones, so those of all blocks are kept, even if only
// a part of the image is needed.
func (d *decoder) refine(s *scanHeader, c *component, block *[64]int16) bool {
	b := &d.bits
	switch {
	case s.first == 0 && s.high == 0:
		size, ok := b.symbol(c.dc)
		if !ok || size > 15 {
			return false
		}
		if size > 0 {
			c.previous += extend(b.take(size), size)
		}
		block[0] = int16(c.previous << s.low)
		return true
	case s.first == 0:
		if b.take(1) != 0 {
			block[0] |= 1 << s.low
		}
		return true
	case s.high == 0:
		return d.firstBits(s, c, block)
	}
	return d.moreBits(s, c, block)
}

// firstBits decodes a block in the first scan of a band of coefficients.
func (d *decoder) firstBits(s *scanHeader, c *component, block *[64]int16) bool {
	if d.eobRun > 0 {
		d.eobRun--
		return true
	}
	b := &d.bits
	for k := s.first; k <= s.last; k++ {
		symbol, ok := b.symbol(c.ac)
		if !ok {
			return false
		}
		run, size := symbol>>4, symbol&15
		if size == 0 {
			if run < 15 {
				d.eobRun = d.endRun(run) - 1
				return true
			}
			k += 15
			continue
		}
		if k += run; k > s.last {
			return false
		}
		block[natural[k]] = int16(extend(b.take(size), size) << s.low)
	}
	return true
}

// endRun reads the number of blocks that end here, including this one.
func (d *decoder) endRun(bits int) int {
	n := 1 << bits
	if bits > 0 {
		n += int(d.bits.take(bits))
	}
	return n
}

// moreBits decodes a block in a scan that adds a bit to a band of coefficients.
func (d *decoder) moreBits(s *scanHeader, c *component, block *[64]int16) bool {
	b, bit := &d.bits, int16(1)<<s.low
	k := s.first
	if d.eobRun == 0 {
		for ; k <= s.last; k++ {
			symbol, ok := b.symbol(c.ac)
			if !ok {
				return false
			}
			run, size, value := symbol>>4, symbol&15, int16(0)
			switch {
			case size == 1:
				if value = -bit; b.take(1) != 0 {
					value = bit
				}
			case size != 0:
				return false
			case run < 15:
				d.eobRun = d.endRun(run)
			}
			if d.eobRun > 0 {
				break
			}
			if k = d.correct(block, k, s.last, run, bit); k > s.last {
				if value != 0 {
					return false
				}
				break
			}
			if value != 0 {
				block[natural[k]] = value
			}
		}
	}
	if d.eobRun > 0 {
		d.eobRun--
		d.correct(block, k, s.last, -1, bit)
	}
	return true
}

// correct reads the next bit of each nonzero coefficient from k to last, up to the given number
// of zero ones. It returns the position of the next zero coefficient. With zeros below 0 it
// continues to last.
func (d *decoder) correct(block *[64]int16, k, last, zeros int, bit int16) int {
	for ; k <= last; k++ {
		at := natural[k]
		v := block[at]
		if v == 0 {
			if zeros == 0 {
				break
			}
			zeros--
			continue
		}
		if d.bits.take(1) == 0 || v&bit != 0 && v > 0 || v < 0 && -v&bit != 0 {
			continue
		}
		if v > 0 {
			block[at] = v + bit
		} else {
			block[at] = v - bit
		}
	}
	return k
}

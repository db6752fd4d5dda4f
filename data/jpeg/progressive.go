package jpeg

// refine decodes what a scan of a progressive file adds to a block, T.81 G.1.2. The
// coefficients of a block that is not there for a part of the file are those of the file
// before it, so that all are kept.
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

// firstBits is the first scan of a band of coefficients.
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

// endRun reads how many blocks end here, this one included.
func (d *decoder) endRun(bits int) int {
	n := 1 << bits
	if bits > 0 {
		n += int(d.bits.take(bits))
	}
	return n
}

// moreBits is a scan that adds a bit to a band of coefficients.
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

// correct reads the next bit of the coefficients from k to last that are not zero,
// passing over so many zeros; it returns the place of the zero after them. A count below
// 0 passes over all.
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

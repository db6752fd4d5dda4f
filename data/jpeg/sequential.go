package jpeg

import "encoding/binary"

// block decodes a block of a sequential scan (T.81, F.2.2) into the half of dst that begins at
// index half. It keeps the state of b in local variables, because most of the time is spent here.
func (b *bits) block(c *component, dst *[128]int16, half int) bool {
	size, ok := b.symbol(c.dc)
	if !ok || size > 15 {
		return false
	}
	if size > 0 {
		c.previous += extend(b.take(size), size)
	}
	dst[half&127] = int16(c.previous)
	buf, at, acc, n, t := b.buf, b.at, b.acc, b.n, c.ac
	for k := 1; k < 64; {
		if n < 32 { // a code and its number
			acc |= binary.BigEndian.Uint64(buf[at:]) >> (n & 63)
			step := (63 - n) >> 3
			at += step
			n += 8 * step
		}
		e := t.decoded[acc>>(64-lookupBits)]
		if e&(1<<15) == 0 && e != 0 {
			acc <<= e & 63
			n -= int(e & 63)
			k += int(e >> 8 & 127)
			if k > 64 {
				break
			}
			dst[(int(paired[(k-1)&63])+half)&127] = int16(e >> 16)
			continue
		}
		skip, size := int(e>>8&127), int(e>>16)
		if e != 0 {
			acc <<= e & 63
			n -= int(e & 63)
		} else {
			symbol := -1
			for l := lookupBits + 1; l <= 16; l++ {
				if code := int32(acc >> (64 - l)); code <= t.maxCode[l] {
					symbol = int(t.values[uint8(code+t.offset[l])])
					acc <<= l
					n -= l
					break
				}
			}
			if symbol < 0 {
				return false
			}
			skip, size = symbol>>4+1, symbol&15
			if size == 0 && symbol != 0xf0 {
				break
			}
		}
		v := acc >> 1 >> (63 - size)
		acc <<= size
		n -= size
		if k += skip; k > 64 {
			break
		}
		dst[(int(paired[(k-1)&63])+half)&127] = int16(extend(v, size))
	}
	b.at, b.acc, b.n = at, acc, n
	return true
}

// sequential decodes a block of a sequential scan into block, in row-major order.
func (d *decoder) sequential(c *component, block *[64]int16) bool {
	pair := &d.discarded
	*pair = [128]int16{}
	if !d.bits.block(c, pair, 0) {
		return false
	}
	for v := range 8 {
		copy(block[8*v:8*v+8], pair[16*v:])
	}
	return true
}

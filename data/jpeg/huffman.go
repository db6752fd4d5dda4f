package jpeg

import (
	"bytes"
	"encoding/binary"
)

// lookupBits is the number of bits that index the lookup tables of a code.
const lookupBits = 11

// huffman decodes one Huffman code. An entry of the table decoded describes a symbol and the
// number that follows it:
//
//	bits 0 to 7: how many bits to drop; 8 to 14: how many coefficients to advance; 16 to 31: the value
//
// When bit 15 is set, the number does not fit in lookupBits, and the entry has its size in place
// of the value. An entry is 0 when the symbol itself does not fit.
type huffman struct {
	defined bool
	key     []byte // the definition from which the tables were built
	decoded [1 << lookupBits]uint32
	symbols [1 << lookupBits]uint16 // length of a symbol << 8 | symbol; 0 when it is longer than lookupBits
	maxCode [17]int32               // the largest code of each length; -1 for none
	offset  [17]int32               // the difference between a code and the index of its value
	values  [256]uint8
}

// build builds the tables from the number of codes of each length and their values, unless the
// present tables are the same.
func (t *huffman) build(key []byte) error {
	if bytes.Equal(t.key, key) {
		t.defined = true
		return nil
	}
	t.defined, t.key = false, t.key[:0]
	clear(t.decoded[:])
	clear(t.symbols[:])
	copy(t.values[:], key[16:])
	code, k := int32(0), int32(0)
	for l := 1; l <= 16; l++ {
		n := int32(key[l-1])
		t.maxCode[l], t.offset[l] = -1, k-code
		if code+n > 1<<l {
			return damaged("a table has more codes of %d bits than there are", l)
		}
		for range n {
			if l <= lookupBits {
				t.enter(code, l, t.values[k])
			}
			t.maxCode[l] = code
			code, k = code+1, k+1
		}
		code <<= 1
	}
	t.defined, t.key = true, append(t.key, key...)
	return nil
}

// enter fills all entries that begin with a code.
func (t *huffman) enter(code int32, l int, symbol uint8) {
	size, skip := int(symbol&15), uint32(symbol>>4)+1
	if size == 0 && symbol != 0xf0 {
		skip = 64 // the end of the block
	}
	first := int(code) << (lookupBits - l)
	for i := range 1 << (lookupBits - l) {
		t.symbols[first+i] = uint16(l)<<8 | uint16(symbol)
		e := uint32(size)<<16 | 1<<15 | skip<<8 | uint32(l)
		if l+size <= lookupBits {
			number := i >> (lookupBits - l - size)
			e = uint32(uint16(extend(uint64(number), size)))<<16 | skip<<8 | uint32(l+size)
		}
		t.decoded[first+i] = e
	}
}

// extend returns the signed number that size bits stand for (T.81, F.2.2.1).
func extend(bits uint64, size int) int32 {
	v := int32(bits)
	if size > 0 && v < 1<<(size-1) {
		v += 1 - 1<<size
	}
	return v
}

// bits reads the bits of a scan from which markers and stuffed zeros were removed. acc holds the
// next bits, the first one at the top; at least n of them are valid.
type bits struct {
	buf []byte
	at  int
	acc uint64
	n   int
}

// fill makes n at least 56. It reads 8 bytes; buf has a margin for more bytes than a unit can
// have.
func (b *bits) fill() {
	b.acc |= binary.BigEndian.Uint64(b.buf[b.at:]) >> b.n
	step := (63 - b.n) >> 3
	b.at += step
	b.n += 8 * step
}

// used returns the number of bits that were read.
func (b *bits) used() int { return 8*b.at - b.n }

// take returns the next count bits, at most 16.
func (b *bits) take(count int) uint64 {
	if b.n < count {
		b.fill()
	}
	v := b.acc >> (64 - count)
	b.acc <<= count
	b.n -= count
	return v
}

// symbol decodes one symbol. ok is false when the bits do not begin with a code.
func (b *bits) symbol(t *huffman) (s int, ok bool) {
	if b.n < 16 {
		b.fill()
	}
	if e := t.symbols[b.acc>>(64-lookupBits)]; e != 0 {
		b.acc <<= e >> 8
		b.n -= int(e >> 8)
		return int(e & 255), true
	}
	for l := lookupBits + 1; l <= 16; l++ {
		if code := int32(b.acc >> (64 - l)); code <= t.maxCode[l] {
			b.acc <<= l
			b.n -= l
			return int(t.values[uint8(code+t.offset[l])]), true
		}
	}
	return 0, false
}

package jpeg

import (
	"bytes"
	"encoding/binary"
)

// look is how many bits the first table of a code takes at once.
const look = 11

// huffman decodes one code. An entry of whole tells at one look what bits stand for:
//
//	the bits to drop, 0 to 7; the places to move on, 8 to 14; the value, 16 to 31
//
// of a symbol and the number that follows it, or, where bit 15 is set, of a symbol whose
// number is too long, and its size in place of the value. It is 0 where the symbol is.
type huffman struct {
	defined bool
	key     []byte // what the tables were built from
	whole   [1 << look]uint32
	symbols [1 << look]uint16 // bits of a symbol << 8 | symbol, 0 where it is longer
	most    [17]int32         // the greatest code of each length, -1 for none
	offset  [17]int32         // from a code to its value
	values  [256]uint8
}

// build makes the tables from the number of codes of each length and their values,
// unless they are there.
func (t *huffman) build(key []byte) error {
	if bytes.Equal(t.key, key) {
		t.defined = true
		return nil
	}
	t.defined, t.key = false, t.key[:0]
	clear(t.whole[:])
	clear(t.symbols[:])
	copy(t.values[:], key[16:])
	code, k := int32(0), int32(0)
	for l := 1; l <= 16; l++ {
		n := int32(key[l-1])
		t.most[l], t.offset[l] = -1, k-code
		if code+n > 1<<l {
			return damaged("a table has more codes of %d bits than there are", l)
		}
		for range n {
			if l <= look {
				t.enter(code, l, t.values[k])
			}
			t.most[l] = code
			code, k = code+1, k+1
		}
		code <<= 1
	}
	t.defined, t.key = true, append(t.key, key...)
	return nil
}

// enter fills in all entries that begin with a code.
func (t *huffman) enter(code int32, l int, symbol uint8) {
	size, skip := int(symbol&15), uint32(symbol>>4)+1
	if size == 0 && symbol != 0xf0 {
		skip = 64 // the end of the block
	}
	first := int(code) << (look - l)
	for i := range 1 << (look - l) {
		t.symbols[first+i] = uint16(l)<<8 | uint16(symbol)
		e := uint32(size)<<16 | 1<<15 | skip<<8 | uint32(l)
		if l+size <= look {
			number := i >> (look - l - size)
			e = uint32(uint16(extend(uint64(number), size)))<<16 | skip<<8 | uint32(l+size)
		}
		t.whole[first+i] = e
	}
}

// extend is the number of size bits, T.81 F.2.2.1.
func extend(bits uint64, size int) int32 {
	v := int32(bits)
	if size > 0 && v < 1<<(size-1) {
		v += 1 - 1<<size
	}
	return v
}

// bits reads a scan from which markers and stuffed zeros have been taken out. acc holds
// the next bits from the top down, n of them for certain.
type bits struct {
	buf []byte
	at  int
	acc uint64
	n   int
}

// fill makes n at least 56. It reads 8 bytes, and buf has a margin of more than any unit
// can take.
func (b *bits) fill() {
	b.acc |= binary.BigEndian.Uint64(b.buf[b.at:]) >> b.n
	step := (63 - b.n) >> 3
	b.at += step
	b.n += 8 * step
}

// used returns how many bits have been read.
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

// symbol decodes one; ok is false where no code begins so.
func (b *bits) symbol(t *huffman) (s int, ok bool) {
	if b.n < 16 {
		b.fill()
	}
	if e := t.symbols[b.acc>>(64-look)]; e != 0 {
		b.acc <<= e >> 8
		b.n -= int(e >> 8)
		return int(e & 255), true
	}
	for l := look + 1; l <= 16; l++ {
		if code := int32(b.acc >> (64 - l)); code <= t.most[l] {
			b.acc <<= l
			b.n -= l
			return int(t.values[uint8(code+t.offset[l])]), true
		}
	}
	return 0, false
}

package amxemu

import "encoding/binary"

// An op is a tile instruction.
type op uint8

const (
	none op = iota // not a tile instruction
	ldtilecfg
	sttilecfg
	tilerelease
	tilezero
	tileloadd
	tilestored
	tdpbf16ps
)

// An instruction is a decoded tile instruction. Its tiles are numbered as the
// manual's operands: for TDPBF16PS tile += first * second.
type instruction struct {
	op                  op
	size                int // bytes
	tile, first, second int
	at                  address
}

// absent stands for a register that an address does not have.
const absent = -1

// An address is a memory operand. The first row is at segment base + base + disp, and
// rows lie index<<scale apart.
type address struct {
	base, index int // numbers of general registers, or absent
	scale       uint
	disp        int64
	relative    bool // to the next instruction
	segment     byte // the prefix for FS or GS, or 0
}

// longest is the length of the longest instruction in bytes.
const longest = 15

// opcodes are the tile instructions by opcode and the two bits of the VEX prefix
// that stand for a legacy prefix (0: none, 1: 66, 2: F3, 3: F2), for operands in
// memory and in registers.
var opcodes = map[[2]byte]struct{ memory, register op }{
	{0x49, 0}: {ldtilecfg, tilerelease},
	{0x49, 1}: {sttilecfg, none},
	{0x49, 3}: {none, tilezero},
	{0x4b, 1}: {tileloadd, none}, // TILELOADDT1 differs only in a cache hint
	{0x4b, 2}: {tilestored, none},
	{0x4b, 3}: {tileloadd, none},
	{0x5c, 2}: {none, tdpbf16ps},
}

// decode reads the instruction at the beginning of text. The op is none if it is not a
// tile instruction, has a form that the manual calls undefined, has 32-bit addresses,
// or is cut short.
func decode(text []byte) (in instruction) {
	at := address{base: absent, index: absent}
	n := 0
prefixes:
	for ; n < len(text); n++ {
		switch text[n] {
		case 0x26, 0x2e, 0x36, 0x3e:
		case 0x64, 0x65:
			at.segment = text[n]
		default:
			break prefixes
		}
	}
	// C4, then R X B and the map, then W vvvv L and the prefix; R, X, B and
	// vvvv are inverted. Without AMX's map (2), or with W or L, it is another.
	if len(text) < n+5 || text[n] != 0xc4 || text[n+1]&0x1f != 2 || text[n+2]&0x84 != 0 {
		return instruction{}
	}
	high, v, modrm := ^text[n+1], int(^text[n+2]>>3&15), text[n+4]
	mod, reg, rm := modrm>>6, int(modrm>>3&7|high>>4&8), int(modrm&7|high>>2&8)
	ops := opcodes[[2]byte{text[n+3], text[n+2] & 3}]
	if n += 5; mod == 3 {
		in = instruction{op: ops.register, size: n, tile: reg, first: rm, second: v}
	} else {
		in = instruction{op: ops.memory, tile: reg, second: v}
		if in.size = n + at.decode(text[n:], modrm, high); in.size > min(len(text), longest) {
			return instruction{}
		}
		in.at = at
	}
	if !in.defined(modrm) {
		return instruction{}
	}
	return in
}

// defined reports whether the fields of an instruction have the values it requires.
func (in *instruction) defined(modrm byte) bool {
	switch in.op {
	case ldtilecfg, sttilecfg:
		return in.tile == 0 && in.second == 0
	case tilerelease:
		return modrm == 0xc0 && in.first == 0 && in.second == 0
	case tilezero:
		return in.tile < 8 && in.first == 0 && in.second == 0
	case tileloadd, tilestored:
		return in.tile < 8 && in.second == 0 && modrm&7 == 4
	case tdpbf16ps:
		return in.tile < 8 && in.first < 8 && in.second < 8 &&
			in.tile != in.first && in.first != in.second && in.tile != in.second
	}
	return false
}

// decode reads the SIB byte and the displacement, which follow modrm, and
// returns their length, which may be more than there is. high has R, X and B in
// its upper bits.
func (a *address) decode(text []byte, modrm, high byte) (n int) {
	mod, base := modrm>>6, modrm&7
	if base == 4 {
		if len(text) == 0 {
			return 1
		}
		sib := text[0]
		n, base = 1, sib&7
		a.scale = uint(sib >> 6)
		if index := int(sib>>3&7 | high>>3&8); index != 4 {
			a.index = index
		}
	} else if mod == 0 && base == 5 {
		a.relative = true
	}
	width := [3]int{0, 1, 4}[mod]
	if mod == 0 && base == 5 {
		width = 4
	} else {
		a.base = int(base | high>>2&8)
	}
	if len(text) < n+width {
		return n + width
	}
	switch width {
	case 1:
		a.disp = int64(int8(text[n]))
	case 4:
		a.disp = int64(int32(binary.LittleEndian.Uint32(text[n:])))
	}
	return n + width
}

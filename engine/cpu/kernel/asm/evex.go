package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The instructions of AVX512_BF16, which neither avo nor Go's assembler knows. They get
// registers like all others and are written as bytes.
const (
	dotPairs   = "VDPBF16PS"
	narrowPair = "VCVTNEPS2BF16"
	narrowTwo  = "VCVTNE2PS2BF16"
	bcst       = "BCST"
)

// opcodes are those of EVEX.512.0F38.W0, with the prefix F3, or F2 for narrowTwo.
var opcodes = map[string]byte{dotPairs: 0x52, narrowPair: 0x72, narrowTwo: 0x72}

// VDPBF16PS adds to every float32 of acc the products of the two bfloat16 at its place in
// a and b, the second first.
func (e *emitter) VDPBF16PS(a operand.Op, b, acc reg.VecPhysical) {
	e.addBF16(dotPairs, nil, []operand.Op{a, b, acc}, []operand.Op{a, b, acc}, acc)
}

// VDPBF16PS_BCST is VDPBF16PS with one pair of a for all lanes.
func (e *emitter) VDPBF16PS_BCST(a operand.Mem, b, acc reg.VecPhysical) {
	e.addBF16(dotPairs, []string{bcst}, []operand.Op{a, b, acc}, []operand.Op{a, b, acc}, acc)
}

// VCVTNEPS2BF16 rounds the sixteen float32 of a to bfloat16.
func (e *emitter) VCVTNEPS2BF16(a, half reg.Register) {
	e.addBF16(narrowPair, nil, []operand.Op{a, half}, []operand.Op{a}, half)
}

// VCVTNE2PS2BF16 rounds the float32 of low and high to the lower and the upper half of to.
func (e *emitter) VCVTNE2PS2BF16(low operand.Op, high, to reg.Register) {
	e.addBF16(narrowTwo, nil, []operand.Op{low, high, to}, []operand.Op{low, high}, to)
}

func (e *emitter) addBF16(opcode string, suffixes []string, operands, inputs []operand.Op, output operand.Op) {
	e.Instruction(&ir.Instruction{Opcode: opcode, Suffixes: suffixes, Operands: operands,
		Inputs: inputs, Outputs: []operand.Op{output}, ISA: []string{"AVX512_BF16"}})
}

// spellBytes replaces the instructions of AVX512_BF16 by their bytes. It runs after
// registers have been allocated.
func spellBytes(file *ir.File) {
	for _, f := range file.Functions() {
		for _, i := range f.Instructions() {
			if _, ok := opcodes[i.Opcode]; ok {
				spelt := spell(evex(i), i)
				i.Opcode, i.Suffixes, i.Operands = spelt.first, nil, []operand.Op{spelt}
			}
		}
	}
}

// spelling is an instruction as directives for bytes, with its name as a comment.
type spelling struct{ first, rest string }

// Asm returns the text after the first directive.
func (s spelling) Asm() string { return s.rest }

func spell(code []byte, i *ir.Instruction) spelling {
	var parts []string
	for len(code) > 0 {
		switch {
		case len(code) >= 4:
			parts = append(parts, fmt.Sprintf("LONG $0x%08x", binary.LittleEndian.Uint32(code)))
			code = code[4:]
		case len(code) >= 2:
			parts = append(parts, fmt.Sprintf("WORD $0x%04x", binary.LittleEndian.Uint16(code)))
			code = code[2:]
		default:
			parts = append(parts, fmt.Sprintf("BYTE $0x%02x", code[0]))
			code = nil
		}
	}
	var names []string
	for _, o := range i.Operands {
		names = append(names, o.Asm())
	}
	first, rest, _ := strings.Cut(strings.Join(parts, "; "), " ")
	return spelling{first, fmt.Sprintf("%s // %s %s", rest, i.OpcodeWithSuffixes(), strings.Join(names, ", "))}
}

// evex encodes an instruction: Intel's manual, volume 2, section 2.7. Of the
// operands, the last is the register and the first the register or memory.
func evex(i *ir.Instruction) []byte {
	last := len(i.Operands) - 1
	broadcast := len(i.Suffixes) > 0
	dst, second := number(i.Operands[last]), 0
	if last == 2 {
		second = number(i.Operands[1])
	}
	// Of a register number the prefix holds what is above three bits, inverted.
	prefix := [4]byte{0x62, 0xf2, 0x7e, 0x48} // 0F38; W0, F3; 512 bits
	clearBit := func(at int, bit uint, set int) {
		if set != 0 {
			prefix[at] &^= 1 << bit
		}
	}
	if i.Opcode == narrowTwo {
		prefix[2] |= 1 // F2
	}
	clearBit(1, 7, dst&8)
	clearBit(1, 4, dst&16)
	prefix[2] &^= byte(second&15) << 3
	clearBit(3, 3, second&16)
	if broadcast {
		prefix[3] |= 0x10
	}
	code := []byte{opcodes[i.Opcode]}
	switch op := i.Operands[0].(type) {
	case operand.Mem:
		width := 64 // a short displacement counts in these
		if broadcast {
			width = 4
		}
		clearBit(1, 5, number(op.Base)&8)
		if op.Index != nil {
			clearBit(1, 6, number(op.Index)&8)
		}
		code = append(code, address(op, byte(dst&7), width)...)
	default:
		src := number(op)
		clearBit(1, 5, src&8)
		clearBit(1, 6, src&16)
		code = append(code, 0xc0|byte(dst&7)<<3|byte(src&7))
	}
	return append(prefix[:], code...)
}

// number is that of a register in the encoding.
func number(op operand.Op) int { return int(op.(reg.Physical).PhysicalIndex()) }

// address is the encoding of a place in memory: ModRM, SIB if there is an
// index or the base asks for it, displacement.
func address(m operand.Mem, field byte, width int) []byte {
	base := byte(number(m.Base) & 7)
	modrm, sib, withSIB := field<<3|base, byte(0x20)|base, base == 4
	if m.Index != nil && m.Scale != 0 {
		scale := map[uint8]byte{1: 0, 2: 1, 4: 2, 8: 3}[m.Scale]
		sib, withSIB = scale<<6|byte(number(m.Index)&7)<<3|base, true
	}
	if withSIB {
		modrm = field<<3 | 4
	}
	var disp []byte
	switch short := m.Disp / width; {
	case m.Disp == 0 && base != 5:
	case m.Disp%width == 0 && short == int(int8(short)):
		modrm |= 0x40
		disp = []byte{byte(short)}
	default:
		modrm |= 0x80
		disp = binary.LittleEndian.AppendUint32(nil, uint32(int32(m.Disp)))
	}
	code := []byte{modrm}
	if withSIB {
		code = append(code, sib)
	}
	return append(code, disp...)
}

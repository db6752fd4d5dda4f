package main

import (
	"encoding/hex"
	"testing"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// TestEVEX compares encodings with bytes that GNU objdump disassembles to the given text.
func TestEVEX(t *testing.T) {
	mem := func(base, index reg.Register, scale uint8, disp int) operand.Mem {
		return operand.Mem{Base: base, Index: index, Scale: scale, Disp: disp}
	}
	for _, c := range evexCases(mem) {
		i := &ir.Instruction{Opcode: c.opcode, Suffixes: c.suffixes, Operands: c.operands}
		if got := hex.EncodeToString(evex(i)); got != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
}

type evexCase struct {
	opcode   string
	suffixes []string
	operands []operand.Op
	text     string // of objdump, in Intel's order
	want     string
}

func evexCases(mem func(base, index reg.Register, scale uint8, disp int) operand.Mem) []evexCase {
	one := []string{bcst}
	return []evexCase{
		{dotPairs, nil, []operand.Op{reg.Z1, reg.Z2, reg.Z3}, "vdpbf16ps zmm3,zmm2,zmm1", "62f26e4852d9"},
		{dotPairs, nil, []operand.Op{reg.Z31, reg.Z30, reg.Z29}, "vdpbf16ps zmm29,zmm30,zmm31", "62020e4052ef"},
		{dotPairs, nil, []operand.Op{reg.Z9, reg.Z16, reg.Z8}, "vdpbf16ps zmm8,zmm16,zmm9", "62527e4052c1"},
		{dotPairs, nil, []operand.Op{mem(reg.RAX, nil, 0, 0), reg.Z28, reg.Z0}, "vdpbf16ps zmm0,zmm28,ZMMWORD PTR [rax]", "62f21e405200"},
		{dotPairs, nil, []operand.Op{mem(reg.R12, nil, 0, 64), reg.Z15, reg.Z17}, "vdpbf16ps zmm17,zmm15,ZMMWORD PTR [r12+0x40]", "62c20648524c2401"},
		{dotPairs, nil, []operand.Op{mem(reg.R13, nil, 0, 0), reg.Z7, reg.Z1}, "vdpbf16ps zmm1,zmm7,ZMMWORD PTR [r13+0x0]", "62d24648524d00"},
		{dotPairs, nil, []operand.Op{mem(reg.RBP, reg.R14, 2, 20), reg.Z7, reg.Z1}, "vdpbf16ps zmm1,zmm7,ZMMWORD PTR [rbp+r14*2+0x14]", "62b24648528c7514000000"},
		{dotPairs, one, []operand.Op{mem(reg.RSI, reg.RCX, 8, 0), reg.Z24, reg.Z5}, "vdpbf16ps zmm5,zmm24,DWORD BCST [rsi+rcx*8]", "62f23e50522cce"},
		{dotPairs, one, []operand.Op{mem(reg.R9, reg.RDX, 1, 508), reg.Z3, reg.Z31}, "vdpbf16ps zmm31,zmm3,DWORD BCST [r9+rdx*1+0x1fc]", "62426658527c117f"},
		{dotPairs, one, []operand.Op{mem(reg.RDI, reg.R8, 4, 512), reg.Z3, reg.Z12}, "vdpbf16ps zmm12,zmm3,DWORD BCST [rdi+r8*4+0x200]", "6232665852a48700020000"},
		{dotPairs, one, []operand.Op{mem(reg.RBX, nil, 0, -4), reg.Z3, reg.Z12}, "vdpbf16ps zmm12,zmm3,DWORD BCST [rbx-0x4]", "627266585263ff"},
		{narrowTwo, nil, []operand.Op{reg.Z1, reg.Z2, reg.Z3}, "vcvtne2ps2bf16 zmm3,zmm2,zmm1", "62f26f4872d9"},
		{narrowTwo, nil, []operand.Op{reg.Z31, reg.Z30, reg.Z29}, "vcvtne2ps2bf16 zmm29,zmm30,zmm31", "62020f4072ef"},
		{narrowTwo, nil, []operand.Op{reg.Z9, reg.Z16, reg.Z8}, "vcvtne2ps2bf16 zmm8,zmm16,zmm9", "62527f4072c1"},
		{narrowPair, nil, []operand.Op{reg.Z2, reg.Y1}, "vcvtneps2bf16 ymm1,zmm2", "62f27e4872ca"},
		{narrowPair, nil, []operand.Op{reg.Z25, reg.Y14}, "vcvtneps2bf16 ymm14,zmm25", "62127e4872f1"},
		{narrowPair, nil, []operand.Op{reg.Z13, reg.Y22}, "vcvtneps2bf16 ymm22,zmm13", "62c27e4872f5"},
	}
}

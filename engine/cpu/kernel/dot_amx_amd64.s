//go:build !noasm

#include "go_asm.h"
#include "textflag.h"

// Go's assembler does not know AMX, so its instructions are written as bytes:
// C4, the inverted upper bits of the registers, the inverted second operand and
// the prefix, the opcode, ModRM, and for memory SIB and displacement.

#define LDTILECFG_R15    BYTE $0xC4; BYTE $0xC2; BYTE $0x78; BYTE $0x49; BYTE $0x07 // ldtilecfg (R15)
#define TILERELEASE      BYTE $0xC4; BYTE $0xE2; BYTE $0x78; BYTE $0x49; BYTE $0xC0
#define TILEZERO(n)      BYTE $0xC4; BYTE $0xE2; BYTE $0x7B; BYTE $0x49; BYTE $(0xC0+8*(n))
#define TDPBF16PS(c,a,b) BYTE $0xC4; BYTE $0xE2; BYTE $(0x02+8*(15-(b))); BYTE $0x5C; BYTE $(0xC0+8*(c)+(a)) // c += a*b

// Tiles of c, a and b at their pointers: rows and columns of tiles count from 0.
#define LOAD_C00(n)  BYTE $0xC4; BYTE $0xE2; BYTE $0x7B; BYTE $0x4B; BYTE $(0x04+8*(n)); BYTE $0x17             // (DI)(DX*1)
#define LOAD_C01(n)  BYTE $0xC4; BYTE $0xE2; BYTE $0x7B; BYTE $0x4B; BYTE $(0x44+8*(n)); BYTE $0x17; BYTE $0x40 // 64(DI)(DX*1)
#define LOAD_C10(n)  BYTE $0xC4; BYTE $0xC2; BYTE $0x7B; BYTE $0x4B; BYTE $(0x04+8*(n)); BYTE $0x12             // (R10)(DX*1)
#define LOAD_C11(n)  BYTE $0xC4; BYTE $0xC2; BYTE $0x7B; BYTE $0x4B; BYTE $(0x44+8*(n)); BYTE $0x12; BYTE $0x40 // 64(R10)(DX*1)
#define STORE_C00(n) BYTE $0xC4; BYTE $0xE2; BYTE $0x7A; BYTE $0x4B; BYTE $(0x04+8*(n)); BYTE $0x17             // (DI)(DX*1)
#define STORE_C01(n) BYTE $0xC4; BYTE $0xE2; BYTE $0x7A; BYTE $0x4B; BYTE $(0x44+8*(n)); BYTE $0x17; BYTE $0x40 // 64(DI)(DX*1)
#define STORE_C10(n) BYTE $0xC4; BYTE $0xC2; BYTE $0x7A; BYTE $0x4B; BYTE $(0x04+8*(n)); BYTE $0x12             // (R10)(DX*1)
#define STORE_C11(n) BYTE $0xC4; BYTE $0xC2; BYTE $0x7A; BYTE $0x4B; BYTE $(0x44+8*(n)); BYTE $0x12; BYTE $0x40 // 64(R10)(DX*1)
#define LOAD_A0(n)   BYTE $0xC4; BYTE $0x82; BYTE $0x7B; BYTE $0x4B; BYTE $(0x04+8*(n)); BYTE $0x08             // (R8)(R9*1)
#define LOAD_A1(n)   BYTE $0xC4; BYTE $0x82; BYTE $0x7B; BYTE $0x4B; BYTE $(0x04+8*(n)); BYTE $0x0A             // (R10)(R9*1)
#define LOAD_B0(n)   BYTE $0xC4; BYTE $0xE2; BYTE $0x7B; BYTE $0x4B; BYTE $(0x04+8*(n)); BYTE $0x0E             // (SI)(CX*1)
#define LOAD_B1(n)   BYTE $0xC4; BYTE $0xE2; BYTE $0x7B; BYTE $0x4B; BYTE $(0x44+8*(n)); BYTE $0x0E; BYTE $0x40 // 64(SI)(CX*1)

// func dotTiles(p *tileDot)
//
// Tiles 0 to 3 are c, 4 and 5 a, 6 and 7 b. AX is p, R15 its part in work; DI
// and R11 are the block of c and of a, DX and R9 their strides, R12 16 rows of
// a; R13 and R14 the segments, SI, R8 and R10 the tiles of b and a, CX the
// stride of b, BX the steps.
TEXT ·dotTiles(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	LEAQ tileDot_parts(AX), R15
	MOVQ tileDot_cStride(AX), DX
	MOVQ tileDot_aStride(AX), R9
	MOVQ R9, R12
	SHLQ $4, R12
	MOVQ $128, CX

part:
	LDTILECFG_R15
	MOVQ tileDot_c(AX), DI
	ADDQ tilePart_c(R15), DI
	MOVQ tileDot_a(AX), R11
	ADDQ tilePart_a(R15), R11

block:
	MOVQ  DX, R10
	SHLQ  $4, R10
	ADDQ  DI, R10
	MOVQ  tilePart_tiles(R15), BX
	CMPQ  tilePart_add(R15), $0
	JEQ   zero
	LOAD_C00(0)
	TESTQ $const_tileSecondCol, BX
	JZ    added0
	LOAD_C01(1)

added0:
	TESTQ $const_tileSecondRow, BX
	JZ    segments
	LOAD_C10(2)
	TESTQ $const_tileSecondCol, BX
	JZ    segments
	LOAD_C11(3)
	JMP   segments

zero:
	TILEZERO(0)
	TESTQ $const_tileSecondCol, BX
	JZ    zeroed0
	TILEZERO(1)

zeroed0:
	TESTQ $const_tileSecondRow, BX
	JZ    segments
	TILEZERO(2)
	TESTQ $const_tileSecondCol, BX
	JZ    segments
	TILEZERO(3)

segments:
	MOVQ tileDot_segs(AX), R13
	MOVQ tileDot_nsegs(AX), R14

segment:
	MOVQ Seg_A(R13), R8
	MOVQ Seg_B(R13), SI
	LEAQ (R11)(R8*2), R8
	LEAQ (R8)(R12*1), R10
	ADDQ SI, SI
	ADDQ tileDot_b(AX), SI
	ADDQ tilePart_b(R15), SI
	MOVQ tilePart_tiles(R15), BX
	CMPQ BX, $const_tileSecondCol
	JLT  single
	JEQ  wide
	CMPQ BX, $const_tileSecondRow
	JEQ  tall
	MOVQ tilePart_steps(R15), BX
	PCALIGN $64

step22:
	LOAD_B0(6)
	LOAD_A0(4)
	TDPBF16PS(0, 4, 6)
	LOAD_B1(7)
	TDPBF16PS(1, 4, 7)
	LOAD_A1(5)
	TDPBF16PS(2, 5, 6)
	TDPBF16PS(3, 5, 7)
	ADDQ $64, R8
	ADDQ $64, R10
	ADDQ $2048, SI
	DECQ BX
	JNZ  step22
	JMP  next

tall:
	MOVQ tilePart_steps(R15), BX

step21:
	LOAD_B0(6)
	LOAD_A0(4)
	TDPBF16PS(0, 4, 6)
	LOAD_A1(5)
	TDPBF16PS(2, 5, 6)
	ADDQ $64, R8
	ADDQ $64, R10
	ADDQ $2048, SI
	DECQ BX
	JNZ  step21
	JMP  next

wide:
	MOVQ tilePart_steps(R15), BX

step12:
	LOAD_B0(6)
	LOAD_A0(4)
	TDPBF16PS(0, 4, 6)
	LOAD_B1(7)
	TDPBF16PS(1, 4, 7)
	ADDQ $64, R8
	ADDQ $2048, SI
	DECQ BX
	JNZ  step12
	JMP  next

single:
	MOVQ tilePart_steps(R15), BX

step11:
	LOAD_B0(6)
	LOAD_A0(4)
	TDPBF16PS(0, 4, 6)
	ADDQ $64, R8
	ADDQ $2048, SI
	DECQ BX
	JNZ  step11

next:
	ADDQ $Seg__size, R13
	DECQ R14
	JNZ  segment

	MOVQ  DX, R10
	SHLQ  $4, R10
	ADDQ  DI, R10
	MOVQ  tilePart_tiles(R15), BX
	STORE_C00(0)
	TESTQ $const_tileSecondCol, BX
	JZ    stored0
	STORE_C01(1)

stored0:
	TESTQ $const_tileSecondRow, BX
	JZ    stored
	STORE_C10(2)
	TESTQ $const_tileSecondCol, BX
	JZ    stored
	STORE_C11(3)

stored:
	LEAQ (R11)(R12*2), R11
	MOVQ DX, R10
	SHLQ $5, R10
	ADDQ R10, DI
	DECQ tilePart_blocks(R15)
	JNZ  block

	ADDQ $tilePart__size, R15
	DECQ tileDot_nparts(AX)
	JNZ  part
	TILERELEASE
	RET

// func peakTiles(config *tileConfig, iterations int)
//
// Six products an iteration, as many as tiles allow to run beside each other.
TEXT ·peakTiles(SB), NOSPLIT, $0-16
	MOVQ config+0(FP), R15
	MOVQ iterations+8(FP), BX
	LDTILECFG_R15
	TILEZERO(0)
	TILEZERO(1)
	TILEZERO(2)
	TILEZERO(3)
	TILEZERO(4)
	TILEZERO(5)
	TILEZERO(6)
	TILEZERO(7)

round:
	TDPBF16PS(0, 6, 7)
	TDPBF16PS(1, 6, 7)
	TDPBF16PS(2, 6, 7)
	TDPBF16PS(3, 6, 7)
	TDPBF16PS(4, 6, 7)
	TDPBF16PS(5, 6, 7)
	DECQ BX
	JNZ  round
	TILERELEASE
	RET

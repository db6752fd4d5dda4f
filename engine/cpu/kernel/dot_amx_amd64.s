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

// The four shapes of a block: what it does with c in the beginning and in the
// end, and its step, whose loads and products alternate.

#define ZERO22 TILEZERO(0); TILEZERO(1); TILEZERO(2); TILEZERO(3)
#define ZERO21 TILEZERO(0); TILEZERO(2)
#define ZERO12 TILEZERO(0); TILEZERO(1)
#define ZERO11 TILEZERO(0)

#define ADD22 LOAD_C00(0); LOAD_C01(1); LOAD_C10(2); LOAD_C11(3)
#define ADD21 LOAD_C00(0); LOAD_C10(2)
#define ADD12 LOAD_C00(0); LOAD_C01(1)
#define ADD11 LOAD_C00(0)

#define STORE22 STORE_C00(0); STORE_C01(1); STORE_C10(2); STORE_C11(3)
#define STORE21 STORE_C00(0); STORE_C10(2)
#define STORE12 STORE_C00(0); STORE_C01(1)
#define STORE11 STORE_C00(0)

#define STEP22 \
	LOAD_B0(6);                                  \
	LOAD_A0(4); TDPBF16PS(0, 4, 6);              \
	LOAD_B1(7); TDPBF16PS(1, 4, 7);              \
	LOAD_A1(5); TDPBF16PS(2, 5, 6); TDPBF16PS(3, 5, 7)
#define STEP21 LOAD_B0(6); LOAD_A0(4); TDPBF16PS(0, 4, 6); LOAD_A1(5); TDPBF16PS(2, 5, 6)
#define STEP12 LOAD_B0(6); LOAD_A0(4); TDPBF16PS(0, 4, 6); LOAD_B1(7); TDPBF16PS(1, 4, 7)
#define STEP11 LOAD_B0(6); LOAD_A0(4); TDPBF16PS(0, 4, 6)

// BLOCKS does the blocks of one part, all of one shape; the lower-case names
// are its labels.
#define BLOCKS(ZERO, ADD, STEP, STORE, block, zero, segments, segment, step) \
block:                                 \
	MOVQ DX, R10                   \
	SHLQ $4, R10                   \
	ADDQ DI, R10                   \
	CMPQ tilePart_add(R15), $0     \
	JEQ  zero                      \
	ADD                            \
	JMP  segments                  \
zero:                                  \
	ZERO                           \
segments:                              \
	MOVQ tileDot_segs(AX), R13     \
	MOVQ tileDot_nsegs(AX), R14    \
segment:                               \
	MOVQ Seg_A(R13), R8            \
	MOVQ Seg_B(R13), SI            \
	LEAQ (R11)(R8*2), R8           \
	LEAQ (R8)(R12*1), R10          \
	ADDQ SI, SI                    \
	ADDQ tileDot_b(AX), SI         \
	ADDQ tilePart_b(R15), SI       \
	MOVQ tilePart_steps(R15), BX   \
step:                                  \
	STEP                           \
	ADDQ $64, R8                   \
	ADDQ $64, R10                  \
	ADDQ $2048, SI                 \
	DECQ BX                        \
	JNZ  step                      \
	ADDQ $Seg__size, R13           \
	DECQ R14                       \
	JNZ  segment                   \
	MOVQ DX, R10                   \
	SHLQ $4, R10                   \
	ADDQ DI, R10                   \
	STORE                          \
	LEAQ (R11)(R12*2), R11         \
	MOVQ DX, R10                   \
	SHLQ $5, R10                   \
	ADDQ R10, DI                   \
	DECQ tilePart_blocks(R15)      \
	JNZ  block                     \
	JMP  next

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
	MOVQ tilePart_tiles(R15), BX
	CMPQ BX, $const_tileSecondCol
	JLT  block11
	JEQ  block12
	CMPQ BX, $const_tileSecondRow
	JEQ  block21
	BLOCKS(ZERO22, ADD22, STEP22, STORE22, block22, zero22, segments22, segment22, step22)
	BLOCKS(ZERO21, ADD21, STEP21, STORE21, block21, zero21, segments21, segment21, step21)
	BLOCKS(ZERO12, ADD12, STEP12, STORE12, block12, zero12, segments12, segment12, step12)
	BLOCKS(ZERO11, ADD11, STEP11, STORE11, block11, zero11, segments11, segment11, step11)

next:
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

package amxemu

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The numbers of the general registers.
const (
	rax = iota
	rcx
	rdx
	rbx
	rsp
	rbp
	rsi
	rdi
	r8
	r9
	r10
	r11
	r12
	r13
	r14
	r15
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestDecode decodes the bytes that GNU as 2.40 writes for the text beside them.
func TestDecode(t *testing.T) {
	const no = absent
	for _, c := range []struct {
		text, bytes string
		want        instruction
	}{
		{"ldtilecfg [rax]", "c4e2784900", instruction{op: ldtilecfg, at: address{base: rax, index: no}}},
		{"ldtilecfg [rip+0x1234]", "c4e278490534120000", instruction{op: ldtilecfg, at: address{base: no, index: no, disp: 0x1234, relative: true}}},
		{"ldtilecfg [r15+0x40]", "c4c278494740", instruction{op: ldtilecfg, at: address{base: r15, index: no, disp: 0x40}}},
		{"ldtilecfg [rbp]", "c4e278494500", instruction{op: ldtilecfg, at: address{base: rbp, index: no}}},
		{"ldtilecfg [rsp+8]", "c4e27849442408", instruction{op: ldtilecfg, at: address{base: rsp, index: no, disp: 8}}},
		{"ldtilecfg [r12]", "c4c278490424", instruction{op: ldtilecfg, at: address{base: r12, index: no}}},
		{"ldtilecfg [r13]", "c4c278494500", instruction{op: ldtilecfg, at: address{base: r13, index: no}}},
		{"ldtilecfg fs:[0x10]", "64c4e27849042510000000", instruction{op: ldtilecfg, at: address{base: no, index: no, disp: 0x10, segment: 0x64}}},
		{"sttilecfg [rdi-0x80]", "c4e279494780", instruction{op: sttilecfg, at: address{base: rdi, index: no, disp: -0x80}}},
		{"tilerelease", "c4e27849c0", instruction{op: tilerelease}},
		{"tilezero tmm0", "c4e27b49c0", instruction{op: tilezero}},
		{"tilezero tmm7", "c4e27b49f8", instruction{op: tilezero, tile: 7}},
		{"tileloadd tmm3, [r8+r9]", "c4827b4b1c08", instruction{op: tileloadd, tile: 3, at: address{base: r8, index: r9}}},
		{"tileloadd tmm6, [rsi+rcx*8+0x12345678]", "c4e27b4bb4ce78563412", instruction{op: tileloadd, tile: 6, at: address{base: rsi, index: rcx, scale: 3, disp: 0x12345678}}},
		{"tileloadd tmm1, [r13+r12*2-1]", "c4827b4b4c65ff", instruction{op: tileloadd, tile: 1, at: address{base: r13, index: r12, scale: 1, disp: -1}}},
		{"tileloadd tmm1, [rax]", "c4e27b4b0c20", instruction{op: tileloadd, tile: 1, at: address{base: rax, index: no}}},
		{"tileloadd tmm1, [rcx*4+0x20]", "c4e27b4b0c8d20000000", instruction{op: tileloadd, tile: 1, at: address{base: no, index: rcx, scale: 2, disp: 0x20}}},
		{"tileloaddt1 tmm2, [rbx+r15*4]", "c4a2794b14bb", instruction{op: tileloadd, tile: 2, at: address{base: rbx, index: r15, scale: 2}}},
		{"tilestored [rdi+rdx+64], tmm7", "c4e27a4b7c1740", instruction{op: tilestored, tile: 7, at: address{base: rdi, index: rdx, disp: 64}}},
		{"tilestored gs:[r12+rbp], tmm0", "65c4c27a4b042c", instruction{op: tilestored, at: address{base: r12, index: rbp, segment: 0x65}}},
		{"tdpbf16ps tmm0, tmm4, tmm6", "c4e24a5cc4", instruction{op: tdpbf16ps, first: 4, second: 6}},
		{"tdpbf16ps tmm7, tmm6, tmm5", "c4e2525cfe", instruction{op: tdpbf16ps, tile: 7, first: 6, second: 5}},
	} {
		raw := unhex(t, c.bytes)
		c.want.size = len(raw)
		if diff := cmp.Diff(c.want, decode(append(raw, 0xcc)), cmp.AllowUnexported(instruction{}, address{})); diff != "" {
			t.Errorf("%s:\n%s", c.text, diff)
		}
		for n := range raw {
			if in := decode(raw[:n]); in.op != none {
				t.Errorf("%s, cut to %d bytes, is %+v", c.text, n, in)
			}
		}
	}
}

// TestDecodeUndefined checks that changing one field of an instruction makes it undefined.
func TestDecodeUndefined(t *testing.T) {
	for text, bytes := range map[string]string{
		"ud2":                                  "0f0b",
		"vpdpbusd xmm0, xmm1, xmm2":            "c4e27150c2",
		"another map":                          "c4e3784900",
		"VEX.W set":                            "c4e2f84900",
		"VEX.L set":                            "c4e27c4900",
		"a second operand of ldtilecfg":        "c4e2704900",
		"a register for ldtilecfg":             "c4e2784908",
		"tilerelease of another register":      "c4e27849c1",
		"a second operand of tilezero":         "c4e2434bc0",
		"tile 8":                               "c4627b49c0",
		"a tile load of registers":             "c4e27b4bc1",
		"a tile load without SIB":              "c4e27b4b01",
		"a second operand of tileloadd":        "c4e2434b0408",
		"tdpbf16ps of memory":                  "c4e24a5c04 08",
		"tdpbf16ps with the sum as a factor":   "c4e24a5cc0",
		"tdpbf16ps with one factor twice":      "c4e25a5cc4",
		"tdpbf16ps with the second as the sum": "c4e27a5cc4",
		"tdpbf16ps of tile 12":                 "c4c24a5cc4",
		"tdpbssd":                              "c4e24b5ec4",
		"addresses of 32 bits":                 "67c4c27b4b2c12",
	} {
		if in := decode(unhex(t, bytes)); in.op != none {
			t.Errorf("%s is %+v", text, in)
		}
	}
}

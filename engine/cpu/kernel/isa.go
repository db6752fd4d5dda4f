package kernel

import "fmt"

// ISA names an instruction set that kernels are written for, from the most
// portable to the fastest.
type ISA uint8

// The instruction sets.
const (
	Portable   ISA = iota // plain Go, on every machine
	AVX2                  // AVX2 with FMA
	AVX512                // AVX-512 F, BW, DQ and VL
	AVX512VNNI            // AVX512 with products of integers, AVX512_VNNI
	AVX512BF16            // AVX512 with products of bfloat16, AVX512_BF16, and of integers if there is VNNI
	AMX                   // AVX512BF16 with tiles, AMX-BF16
)

var names = [...]string{Portable: "portable", AVX2: "avx2", AVX512: "avx512", AVX512VNNI: "avx512vnni", AVX512BF16: "avx512bf16", AMX: "amx"}

// String returns the name, which ParseISA reads.
func (i ISA) String() string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("isa(%d)", uint8(i))
}

// Names lists the names that ParseISA reads, from the most portable to the fastest.
func Names() []string { return append([]string(nil), names[:]...) }

// ParseISA returns the instruction set with the given name, one of Names. It does
// not say whether this machine has it; Available does.
func ParseISA(s string) (ISA, error) {
	for i, name := range names {
		if s == name {
			return ISA(i), nil
		}
	}
	return 0, fmt.Errorf("unknown instruction set %q: choose one of %q", s, names[:])
}

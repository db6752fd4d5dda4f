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
	AVX512BF16            // AVX512 with products of bfloat16, AVX512_BF16
	AMX                   // AVX512BF16 with tiles, AMX-BF16
)

var names = [...]string{Portable: "portable", AVX2: "avx2", AVX512: "avx512", AVX512BF16: "avx512bf16", AMX: "amx"}

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

// Best returns the fastest instruction set that this machine and this build can run.
func Best() ISA {
	all := Available()
	return all[len(all)-1]
}

// Available lists the instruction sets that this machine and this build can run,
// slowest first. Portable is always among them.
func Available() []ISA {
	isas := []ISA{Portable}
	for i := Portable + 1; int(i) < len(names); i++ {
		if i.set() != nil {
			isas = append(isas, i)
		}
	}
	return isas
}

// For returns the kernels of one instruction set, in a table that the caller may
// change. It panics if this machine or this build cannot run them.
func For(isa ISA) *Set {
	set := portable
	if isa != Portable {
		s := isa.set()
		if s == nil {
			panic(fmt.Sprintf("kernel.For: no %v on this machine or in this build, only %v", isa, Available()))
		}
		set = *s
	}
	return &set
}

package kernel

import "fmt"

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

package kernel

import "testing"

func TestISANames(t *testing.T) {
	for _, isa := range []ISA{Portable, AVX2, AVX512, AVX512VNNI, AVX512BF16, AMX} {
		got, err := ParseISA(isa.String())
		if err != nil || got != isa {
			t.Errorf("ParseISA(%q) = %v, %v", isa.String(), got, err)
		}
	}
	if _, err := ParseISA("sse"); err == nil {
		t.Error("ParseISA takes an unknown name")
	}
}

func TestBestIsAvailable(t *testing.T) {
	all := Available()
	if all[0] != Portable || all[len(all)-1] != Best() {
		t.Errorf("Available() = %v, Best() = %v", all, Best())
	}
	for _, isa := range all {
		set := For(isa)
		if set.ISA != isa {
			t.Errorf("For(%v) is the table of %v", isa, set.ISA)
		}
		if flops := set.PeakFMA(10); flops <= 0 {
			t.Errorf("%v: PeakFMA reports %v operations", isa, flops)
		}
	}
}

func TestForUnknown(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("For takes an instruction set that does not exist")
		}
	}()
	For(ISA(200))
}

package kernel

import (
	"strings"
	"testing"
)

// Paths must name the instructions of the instruction set itself for products, and never
// those of another.
func TestPathsTellTheTables(t *testing.T) {
	for _, isa := range Available() {
		set := For(isa)
		all := ""
		for _, p := range set.Paths() {
			if p.Op == "" || p.FP32 == "" {
				t.Errorf("%v: a path says nothing: %+v", isa, p)
			}
			all += p.FP32 + " " + p.BF16 + " " + p.INT8 + " "
		}
		if isa == Portable && strings.Contains(all, "AVX") {
			t.Errorf("portable kernels claim assembly: %s", all)
		}
		if isa == AVX2 && (!strings.Contains(all, "AVX2") || strings.Contains(all, "AVX-512")) {
			t.Errorf("AVX2's kernels are said to be %s", all)
		}
	}
	if got, want := For(Portable).Paths()[0].INT8, For(Portable).Int8.Unit; got != want || want == "" {
		t.Errorf("products of 8-bit integers are said to be %q, not %q", got, want)
	}
	for _, isa := range Available() {
		set := For(isa)
		direct, winograd := set.Paths()[0].BF16, set.Paths()[1].BF16
		if isa != AMX && (!strings.HasPrefix(winograd, "int16 "+set.Int16.Unit+", transforms ") || !strings.Contains(winograd, written(set.Int16.Tiles.Input))) {
			t.Errorf("%v: Winograd's convolution in bf16 is said to be %q", isa, winograd)
		}
		if integers := strings.Contains(direct, "int16 "+set.Int16.Unit); integers != set.Int16.ForBF16 || !strings.HasPrefix(direct, set.BF16.Unit) {
			t.Errorf("%v: products in bf16 are said to be %q", isa, direct)
		}
	}
	set := For(Portable)
	set.BF16.Dot, set.Gemm = nil, For(Best()).Gemm
	if got, want := set.Paths()[0].FP32, written(For(Best()).Gemm); got != want {
		t.Errorf("a table with another product says %s, not %s", got, want)
	}
}

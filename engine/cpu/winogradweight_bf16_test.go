package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/tensor"
)

// bandCases are weight gradients with tiles beyond the image, several chunks of images,
// parts of the image and sets of channels.
var bandCases = []weightCase{
	{3, 16, 16, 7, 9, 3, 1, 1, 1, 1},
	{1, 32, 48, 13, 5, 3, 1, 0, 1, 1},
	{5, 48, 16, 3, 4, 3, 1, 2, 1, 1},
	{2, 16, 32, 1, 2, 3, 1, 1, 1, 1},
	{70, 32, 32, 12, 12, 3, 1, 1, 1, 1},
	{2, 160, 144, 9, 8, 3, 1, 1, 1, 1},
	{2, 272, 256, 5, 4, 3, 1, 1, 1, 1},
	{40, 64, 80, 8, 30, 3, 1, 1, 1, 1},
	{2, 32, 96, 6, 5, 3, 1, 1, 1, 1},
	{26, 64, 32, 10, 13, 3, 1, 1, 1, 1},
	{2, 288, 256, 4, 3, 3, 1, 0, 1, 1},
}

// TestBandWeight compares gradients of weights by every tiling with plain sums. One to
// three threads give the same bits, and so do AVX2 and AVX-512.
func TestBandWeight(t *testing.T) { checkBands(t, bandCases, false, 0x1p-18) }

// TestBandIntegers does the same for products of 16-bit integers, which round the factors. The
// errors together are smaller than if the gradients were rounded to bfloat16.
func TestBandIntegers(t *testing.T) {
	var cases []weightCase
	for _, c := range bandCases {
		if c.n%2 == 0 && c.in%bandLanes == 0 && c.out%bandLanes == 0 {
			cases = append(cases, c)
		}
	}
	checkBands(t, cases, true, 0x1p-12)
}

// checkBands checks gradients of weights by bands. Errors may be so large in comparison with
// the largest sum of magnitudes, for the terms of all taps are mixed.
func checkBands(t *testing.T, cases []weightCase, integers bool, share float64) {
	for _, c := range cases {
		s, at := c.operands()
		want, size := c.reference(s, at[s.X].bf16(), at[s.DY].bf16())
		bound := slices.Max(size) * share
		for _, f := range tilings {
			var vectors memory
			for _, isa := range kernel.Available() {
				if isa == kernel.AMX {
					continue // computes direct sums
				}
				var same memory
				for threads := 1; threads <= 3; threads++ {
					got := c.byTiling(t, &f, s, at, Options{Threads: threads, ISA: &isa}, integers)
					name := fmt.Sprintf("%+v, F(%d,3), %v, %d threads", c, f.m, isa, threads)
					wrong, all := 0.0, 0.0
					for i, v := range got {
						e := float64(v) - want[i]
						if wrong, all = wrong+e*e, all+want[i]*want[i]; !(math.Abs(e) <= bound) {
							t.Fatalf("%s: element %d is %v, want %v within %v", name, i, v, want[i], bound)
						}
					}
					if e := math.Sqrt(wrong / all); !(e < 0x1p-10) {
						t.Errorf("%s: the error is %.3g", name, e)
					} else if threads == 1 {
						t.Logf("%s: the error is %.3g", name, e)
					}
					if same == nil {
						same = got
					}
					if vectors == nil && isa != kernel.Portable {
						vectors = same
					}
					if !conformance.SameBits(same, got) || isa != kernel.Portable && !conformance.SameBits(vectors, got) {
						t.Fatalf("%s: other bits", name)
					}
				}
			}
		}
	}
}

// TestBandWeightNaN: what is not finite reaches the gradients of its own channel.
func TestBandWeightNaN(t *testing.T) {
	c := weightCase{2, 32, 32, 8, 8, 3, 1, 1, 1, 1}
	sets := kernel.Available()
	for k := range 2 * len(sets) {
		isa, integers := sets[k/2], k%2 == 1
		if isa == kernel.AMX {
			continue
		}
		s, at := c.operands()
		const pixel, channel = 3*8 + 4, 5
		at[s.X].bf16()[pixel*c.n*c.in+channel] = 0x7fc0
		got := c.byTiling(t, &tilings[2], s, at, Options{Threads: 2, ISA: &isa}, integers)
		for i, v := range got {
			if in := i / c.out % c.in; (v != v) != (in == channel) {
				t.Fatalf("%v: element %d, of input channel %d, is %v where channel %d holds a NaN", isa, i, in, v, channel)
			}
		}
	}
}

// operands returns the step with random operands.
func (c weightCase) operands() (*engine.ConvGradWeight, map[*engine.Value]memory) {
	s, r := c.step(), rand.New(rand.NewPCG(17, 18))
	at := map[*engine.Value]memory{s.X: alloc(s.X.Words()), s.DY: alloc(s.DY.Words()), s.DW: alloc(s.DW.Words())}
	for _, v := range []*engine.Value{s.X, s.DY} {
		for i := range at[v].bf16() {
			at[v].bf16()[i] = tensor.ToBFloat16(r.Float32()*2 - 1)
		}
	}
	return s, at
}

// byTiling computes the gradient by a tiling, by products of 16-bit integers or in float32, into
// memory that holds NaN.
func (c weightCase) byTiling(t *testing.T, f *tiling, s *engine.ConvGradWeight, at map[*engine.Value]memory, o Options, integers bool) memory {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	set := *d.set
	set.Int16.Fast = integers
	d.set, d.forced = &set, f
	for i := range at[s.DW] {
		at[s.DW][i] = float32(math.NaN())
	}
	bindTo(t, d, s, at).Run(0)
	return slices.Clone(at[s.DW])
}

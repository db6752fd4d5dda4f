package cpu

import (
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/amxemu"
	"github.com/residual-ml/residual/tensor"
)

// weightCase is a weight gradient that is large enough to be divided into chunks of
// images, lines, parts of the image or sets of channels.
type weightCase struct{ n, in, out, h, w, kernel, stride, pad, dilation, groups int }

var weightCases = []weightCase{
	{66, 64, 8, 3, 30, 3, 1, 1, 1, 1},   // chunks of images, one smaller than the other
	{7, 300, 290, 4, 33, 1, 1, 0, 1, 1}, // one tap for all pixels, an odd number of images, many channels
	{33, 24, 24, 12, 11, 1, 2, 0, 1, 1},
	{5, 3, 33, 41, 38, 7, 2, 3, 1, 1}, // few channels
	{301, 1, 5, 9, 9, 3, 1, 1, 1, 1},
	{9, 2, 17, 13, 14, 5, 1, 1, 2, 1},
	{40, 20, 40, 19, 8, 3, 2, 1, 1, 2}, // groups
	{3, 64, 64, 12, 9, 3, 1, 1, 1, 16},
	{9, 16, 16, 10, 17, 3, 1, 2, 2, 1},
	{6, 9, 8, 2, 2, 5, 1, 2, 1, 1}, // a filter larger than the image
	{4, 8, 8, 13, 10, 2, 3, 0, 1, 1},
	{1, 16, 16, 40, 30, 3, 1, 1, 1, 1}, // one image
	{2, 8, 8, 3, 3, 3, 1, 0, 1, 1},
}

func (c weightCase) step() *engine.ConvGradWeight {
	conv := graph.Conv2d{
		StrideH: c.stride, StrideW: c.stride, PadH: c.pad, PadW: c.pad, DilationH: c.dilation, DilationW: c.dilation, Groups: c.groups,
	}
	size := func(n int) int { return (n+2*c.pad-c.dilation*(c.kernel-1)-1)/c.stride + 1 }
	return &engine.ConvGradWeight{
		Window: engine.Window{Conv2d: conv, KH: c.kernel, KW: c.kernel},
		X:      &engine.Value{Shape: tensor.Shape{c.n, c.in, c.h, c.w}, Layout: engine.Images, DType: tensor.BFloat16},
		DY:     &engine.Value{Shape: tensor.Shape{c.n, c.out, size(c.h), size(c.w)}, Layout: engine.Images, DType: tensor.BFloat16},
		DW:     &engine.Value{Shape: tensor.Shape{c.out, c.in / c.groups, c.kernel, c.kernel}, DType: tensor.Float32},
	}
}

// reference returns the gradient in the device's order, [tap][input channel][output
// channel], and for each element the sum of the magnitudes of its terms.
func (c weightCase) reference(s *engine.ConvGradWeight, x, dy []uint16) (want, size []float64) {
	in, out := c.in/c.groups, c.out/c.groups
	_, _, oh, ow := s.DY.Dims()
	want, size = make([]float64, s.DW.Numel()), make([]float64, s.DW.Numel())
	for p := range oh * ow {
		for _, t := range forwardTaps(s.Window, c.h, c.w, p/ow, p%ow) {
			for n := range c.n {
				for co := range c.out {
					g := float64(tensor.FromBFloat16(dy[(p*c.n+n)*c.out+co]))
					for ci := range in {
						v := g * float64(tensor.FromBFloat16(x[(t.source*c.n+n)*c.in+co/out*in+ci]))
						at := (t.index*in+ci)*c.out + co
						want[at] += v
						size[at] += math.Abs(v)
					}
				}
			}
		}
	}
	return want, size
}

// check compares the gradient with plain sums. The bits must be the same for all
// instruction sets but AMX and for one to three threads.
func (c weightCase) check(t *testing.T, sets []kernel.ISA) {
	t.Helper()
	s, at := c.operands()
	want, size := c.reference(s, at[s.X].bf16(), at[s.DY].bf16())
	var first memory
	for _, isa := range sets {
		var same memory
		for threads := 1; threads <= 3; threads++ {
			d, err := New(Options{Threads: threads, ISA: &isa})
			if err != nil {
				t.Fatal(err)
			}
			got := at[s.DW]
			for i := range got {
				got[i] = float32(math.NaN())
			}
			bindTo(t, d, s, at).Run(0)
			d.Close()
			terms := float64(c.n * c.h * c.w)
			for i, v := range got {
				if !(math.Abs(float64(v)-want[i]) <= size[i]*terms*0x1p-24) {
					t.Fatalf("%+v, %v, %d threads: element %d is %v, want %v", c, isa, threads, i, v, want[i])
				}
			}
			if same == nil {
				same = slices.Clone(got)
			}
			if first == nil && isa != kernel.AMX {
				first = same
			}
			if !conformance.SameBits(same, got) || isa != kernel.AMX && !conformance.SameBits(first, got) {
				t.Fatalf("%+v, %v, %d threads: other bits", c, isa, threads)
			}
		}
	}
}

func TestConvGradWeightBF16(t *testing.T) {
	for _, c := range weightCases {
		c.check(t, slices.DeleteFunc(kernel.Available(), func(i kernel.ISA) bool { return i == kernel.AMX }))
	}
}

func TestConvGradWeightAMX(t *testing.T) {
	if !slices.Contains(kernel.Available(), kernel.AVX512BF16) {
		t.Skip("AMX needs assembly, which this build leaves out, or the AVX512_BF16 that this processor lacks")
	}
	amxemu.Test(t, slices.Contains(kernel.Available(), kernel.AMX), func(t *testing.T) {
		for _, c := range weightCases {
			c.check(t, []kernel.ISA{kernel.AMX})
		}
	})
}

// bindTo binds one step to memory.
func bindTo(t testing.TB, d *Device, s engine.Step, at map[*engine.Value]memory) engine.Executable {
	t.Helper()
	p, err := d.Bind(engine.Binding{
		Steps: []engine.Step{s}, Precision: engine.BF16,
		At:      func(v *engine.Value) engine.Buffer { return at[v] },
		Scratch: func(n int) engine.Buffer { return alloc(n) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

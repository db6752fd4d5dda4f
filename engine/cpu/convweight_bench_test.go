package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// weightLayers are convolutions of ResNet-50 for 16 images of 224, of the
// ResNet for CIFAR-10 for 128 of 32, of the ResNet-18 of the notes for 64 of 96, and
// of a ResNet-9 for 64 of 32.
var weightLayers = []struct{ batch, in, out, size, kernel, stride, groups int }{
	{16, 3, 64, 224, 7, 2, 1},
	{16, 64, 64, 56, 1, 1, 1},
	{16, 64, 64, 56, 3, 1, 1},
	{16, 64, 256, 56, 1, 1, 1},
	{16, 256, 64, 56, 1, 1, 1},
	{16, 256, 128, 56, 1, 1, 1},
	{16, 128, 128, 56, 3, 2, 1},
	{16, 128, 128, 28, 3, 1, 1},
	{16, 128, 512, 28, 1, 1, 1},
	{16, 256, 512, 56, 1, 2, 1},
	{16, 512, 128, 28, 1, 1, 1},
	{16, 256, 256, 14, 3, 1, 1},
	{16, 256, 1024, 14, 1, 1, 1},
	{16, 512, 1024, 28, 1, 2, 1},
	{16, 1024, 256, 14, 1, 1, 1},
	{16, 512, 512, 14, 3, 2, 1},
	{16, 512, 512, 7, 3, 1, 1},
	{16, 512, 2048, 7, 1, 1, 1},
	{16, 2048, 512, 7, 1, 1, 1},
	{16, 128, 128, 56, 3, 1, 32},
	{128, 3, 16, 32, 3, 1, 1},
	{128, 16, 16, 32, 3, 1, 1},
	{128, 16, 32, 32, 3, 2, 1},
	{128, 32, 32, 16, 3, 1, 1},
	{128, 64, 64, 8, 3, 1, 1},
	{64, 1, 64, 96, 7, 2, 1},
	{64, 64, 64, 24, 3, 1, 1},
	{64, 64, 128, 24, 3, 2, 1},
	{64, 64, 128, 24, 1, 2, 1},
	{64, 128, 128, 12, 3, 1, 1},
	{64, 256, 256, 6, 3, 1, 1},
	{64, 512, 512, 3, 3, 1, 1},
	{64, 32, 64, 32, 3, 1, 1},
	{64, 64, 64, 16, 3, 1, 1},
	{64, 64, 128, 16, 3, 1, 1},
	{64, 128, 256, 8, 3, 1, 1},
	{64, 256, 256, 4, 3, 1, 1},
}

// BenchmarkConvGradWeight reports the speed of weight gradients from bfloat16 as a share
// of the peak on registers alone on all threads, which is measured next to each. Factors
// come from memory, as in a training step, not from the last-level cache.
func BenchmarkConvGradWeight(b *testing.B) {
	isa := kernel.Best()
	d, err := New(Options{ISA: &isa})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for _, c := range weightLayers {
		name := fmt.Sprintf("%dx%dto%dof%d,%dx%d/%d", c.batch, c.in, c.out, c.size, c.kernel, c.kernel, c.stride)
		if c.groups > 1 {
			name += fmt.Sprintf(",%dgroups", c.groups)
		}
		b.Run(name, func(b *testing.B) {
			out := (c.size + c.stride - 1) / c.stride
			conv := graph.Conv2d{
				StrideH: c.stride, StrideW: c.stride, PadH: c.kernel / 2, PadW: c.kernel / 2,
				DilationH: 1, DilationW: 1, Groups: c.groups,
			}
			s := engine.ConvGradWeight{
				Window: engine.Window{Conv2d: conv, KH: c.kernel, KW: c.kernel},
				X:      &engine.Value{Shape: tensor.Shape{c.batch, c.in, c.size, c.size}, Layout: engine.Images, DType: tensor.BFloat16},
				DY:     &engine.Value{Shape: tensor.Shape{c.batch, c.out, out, out}, Layout: engine.Images, DType: tensor.BFloat16},
				DW:     &engine.Value{Shape: tensor.Shape{c.out, c.in / c.groups, c.kernel, c.kernel}, DType: tensor.Float32},
			}
			const beyond = 64 << 20 // bytes, more than the last-level cache
			programs := make([]engine.Executable, 1+beyond/(4*(s.X.Words()+s.DY.Words())))
			r := rand.New(rand.NewPCG(1, 2))
			for i := range programs {
				programs[i] = bindAlone(b, d, &s, r)
				programs[i].Run(0)
			}
			next := 0
			run := func() {
				programs[next].Run(0)
				next = (next + 1) % len(programs)
			}
			const rounds = 1 << 15
			peak := func() { d.pool.run(d.pool.threads, func(int) { d.set.BF16.PeakDot(rounds) }) }
			var took, peaks []time.Duration
			for b.Loop() {
				begin := time.Now()
				run()
				took = append(took, time.Since(begin))
				begin = time.Now()
				peak()
				peaks = append(peaks, time.Since(begin))
			}
			slices.Sort(took)
			slices.Sort(peaks)
			flops := 2 * float64(c.batch*out*out*c.kernel*c.kernel*c.in/c.groups*c.out) / took[len(took)/2].Seconds()
			b.ReportMetric(flops/(d.set.BF16.PeakDot(1)*rounds*float64(d.pool.threads)/peaks[len(peaks)/2].Seconds()), "of-peak")
			b.ReportMetric(took[len(took)/2].Seconds()*1e3, "ms")
			b.ReportMetric(flops/1e9, "GFLOP/s")
		})
	}
}

// bindAlone binds one step to memory of its own and fills its operands with random
// numbers.
func bindAlone(t testing.TB, d *Device, s engine.Step, r *rand.Rand) engine.Executable {
	t.Helper()
	at := map[*engine.Value]memory{}
	for _, v := range append(s.Reads(), s.Writes()...) {
		m := alloc(v.Words())
		if v.DType == tensor.BFloat16 {
			for i := range m.bf16() {
				m.bf16()[i] = tensor.ToBFloat16(r.Float32()*2 - 1)
			}
		}
		at[v] = m
	}
	return bindTo(t, d, s, at)
}

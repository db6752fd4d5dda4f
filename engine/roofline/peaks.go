package roofline

import (
	"sync"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// longEnough is how long a step must take so that a larger program would not show a higher rate.
const longEnough = 50 * time.Millisecond

// Measure finds the peaks of a device by running large programs: a 1x1 convolution for the
// arithmetic and a ReLU for the bytes. The result is what the engine's own kernels reach. So
// a floor computed from it shows how far a step is from the engine's best kernels, not from
// the limits of the hardware.
func Measure(dev engine.Device, precision engine.Precision) (*Peaks, error) {
	p := &Peaks{Measured: true}
	for _, size := range []struct{ channels, side int }{{256, 8}, {512, 16}, {1024, 23}, {2048, 32}} {
		g := graph.New(graph.Eval)
		x := g.Input("x", tensor.Float32, 16, size.channels, size.side, size.side)
		m := nn.NewConv2d(size.channels, size.channels, 1)
		nn.Init(m, 1, nn.XavierUniform)
		r, err := measureRates(dev, precision, g, x, m.Forward(x))
		if err != nil {
			return nil, err
		}
		p.GFLOPPerSecond = max(p.GFLOPPerSecond, r.gflops)
		if r.slowest > longEnough {
			break
		}
	}
	for _, side := range []int{16, 128, 1024} {
		g := graph.New(graph.Eval)
		x := g.Input("x", tensor.Float32, 64, 1, side, side)
		r, err := measureRates(dev, precision, g, x, g.Apply(graph.ReLU{}, x))
		if err != nil {
			return nil, err
		}
		p.GBPerSecond = r.gbs // the rate of the largest, which does not fit into a cache
		if r.slowest > longEnough {
			break
		}
	}
	return p, nil
}

// rates are the highest among the steps of a program.
type rates struct {
	gflops, gbs float64       // GFLOP/s and GB/s
	slowest     time.Duration // the time of the slowest step
}

// measureRates runs the program that computes out from x a few times.
func measureRates(dev engine.Device, precision engine.Precision, g *graph.Graph, x, out *graph.Node) (r rates, err error) {
	p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{out}, Precision: precision})
	if err != nil {
		return r, err
	}
	images, numbers := tensor.New(x.Shape...), rng.PCG(1, 2)
	for i := range images.Data() {
		images.Data()[i] = numbers.Float32() - 0.5
	}
	if err := p.Feed(x, images); err != nil {
		return r, err
	}
	least := p.Profile()
	for range 5 {
		for i, t := range p.Profile() {
			least[i] = min(least[i], t)
		}
	}
	for i, t := range least {
		if t == 0 { // a step that needs no work
			continue
		}
		s := describe(p.Steps()[i])
		r.gflops, r.gbs = max(r.gflops, s.GFLOP/t.Seconds()), max(r.gbs, float64(s.Bytes)/1e9/t.Seconds())
		r.slowest = max(r.slowest, t)
	}
	return r, dev.Err()
}

// CPUPeak measures the peak of multiply-adds on the CPU in GFLOP/s: the best of a few runs
// that use only registers, in the given precision and on all threads of the device. It
// returns 0 for any other device.
func CPUPeak(d engine.Device, precision engine.Precision) float64 {
	dev, ok := d.(*cpu.Device)
	if !ok {
		return 0
	}
	multiply := kernel.For(dev.ISA()).PeakFMA
	switch precision {
	case engine.BF16:
		multiply = kernel.For(dev.ISA()).BF16.PeakDot
	case engine.INT8:
		multiply = kernel.For(dev.ISA()).Int8.PeakDot
	}
	const rounds = 1 << 17
	multiply(rounds)
	best := 0.0
	for range 5 {
		var wait sync.WaitGroup
		flops := make([]float64, dev.Threads())
		start := time.Now()
		for i := range flops {
			wait.Go(func() {
				for range 16 {
					flops[i] += multiply(rounds)
				}
			})
		}
		wait.Wait()
		took, sum := time.Since(start).Seconds(), 0.0
		for _, n := range flops {
			sum += n
		}
		best = max(best, sum/took/1e9)
	}
	return best
}

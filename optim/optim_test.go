package optim

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

type traceFile struct {
	SGD []struct {
		Config struct {
			Momentum, Dampening float32
			WeightDecay         float32 `json:"weight_decay"`
			Nesterov            bool
		}
		Start []float32
		Steps []struct {
			LR               float32
			Grad, Param, Buf []float32
		}
	}
	Rates   map[string][]float32
	Hundred map[string][]float32 // rates of 100 steps
	Runs    []torchRun
}

func trace(t *testing.T) traceFile {
	t.Helper()
	b, err := os.ReadFile("testdata/trace.json")
	if err != nil {
		t.Fatal(err)
	}
	var f traceFile
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// near allows a difference in the last bits, since PyTorch's fused products are not rounded.
func near(a, b float32) bool {
	return math.Abs(float64(a)-float64(b)) <= 4e-7*max(1, math.Abs(float64(b)))
}

func TestSGDAgainstPyTorch(t *testing.T) {
	traces := trace(t).SGD
	if len(traces) != 6 {
		t.Fatalf("%d traces", len(traces))
	}
	for _, tr := range traces {
		c := tr.Config
		o, err := New("sgd", Config{Momentum: c.Momentum, Dampening: c.Dampening, WeightDecay: c.WeightDecay, Nesterov: c.Nesterov})
		if err != nil {
			t.Fatal(err)
		}
		param := slices.Clone(tr.Start)
		slots := make([][]float32, o.Slots())
		for i := range slots {
			slots[i] = make([]float32, len(param))
		}
		for i, s := range tr.Steps {
			o.Update(param, s.Grad, slots, s.LR, i+1)
			if !slices.EqualFunc(param, s.Param, near) {
				t.Errorf("%+v: parameters after step %d: %v, PyTorch %v", tr.Config, i+1, param, s.Param)
			}
			if (s.Buf != nil) != (len(slots) == 1) || s.Buf != nil && !slices.EqualFunc(slots[0], s.Buf, near) {
				t.Errorf("%+v: momentum after step %d: %v, PyTorch %v", tr.Config, i+1, slots, s.Buf)
			}
		}
	}
}

// The formula calculated by hand, with numbers that are exact in float32.
func TestSGDByHand(t *testing.T) {
	type state struct{ param, buf float32 }
	for _, c := range []struct {
		sgd  SGD
		want [2]state // after gradients 2 and 4 from parameter 1, rate 1/2
	}{
		{SGD{}, [2]state{{0, 0}, {-2, 0}}},
		// 2+1/2=2.5, 1-1.25=-0.25; 4-0.125=3.875, -0.25-1.9375
		{SGD{WeightDecay: 0.5}, [2]state{{-0.25, 0}, {-2.1875, 0}}},
		// buf 2, 1-1=0; buf 1+4=5, 0-2.5
		{SGD{Momentum: 0.5}, [2]state{{0, 2}, {-2.5, 5}}},
		// buf 2 undampened, 1-1=0; buf 1+3=4, 0-2
		{SGD{Momentum: 0.5, Dampening: 0.25}, [2]state{{0, 2}, {-2, 4}}},
		// buf 2, g 2+1=3, 1-1.5; buf 1+4=5, g 4+2.5=6.5, -0.5-3.25
		{SGD{Momentum: 0.5, Nesterov: true}, [2]state{{-0.5, 2}, {-3.75, 5}}},
	} {
		param, buf := []float32{1}, []float32{0}
		slots := [][]float32{buf}[:c.sgd.Slots()]
		for i, g := range []float32{2, 4} {
			c.sgd.Update(param, []float32{g}, slots, 0.5, i+1)
			if got := (state{param[0], buf[0]}); got != c.want[i] {
				t.Errorf("%+v step %d: %v, want %v", c.sgd, i+1, got, c.want[i])
			}
		}
	}
}

// The rounded products cancel with the other term, so a fused instruction, which does not
// round, leaves a remainder. The large rate makes it visible.
func TestSGDRoundsEveryProduct(t *testing.T) {
	x := math.Float32frombits(0x3f800001)      // 1 + 2^-23
	square := math.Float32frombits(0x3f800002) // its square rounded, 1 + 2^-22
	const far = 1 << 40
	for _, c := range []struct {
		what               string
		sgd                SGD
		param, grad, buf   float32
		lr                 float32
		step               int
		wantParam, wantBuf float32
	}{
		{"plain rate", SGD{}, square, x, 0, x, 1, 0, 0},
		{"plain decay", SGD{WeightDecay: x}, x, -square, 0, far, 1, x, 0},
		{"first rate", SGD{Momentum: 0.5}, square, x, 0, x, 1, 0, x},
		{"first decay", SGD{Momentum: 0.5, WeightDecay: x}, x, -square, 0, far, 1, x, 0},
		{"next rate", SGD{Momentum: 0.5}, square, x, 0, x, 2, 0, x},
		{"next decay", SGD{Momentum: 0.5, WeightDecay: x}, x, -square, 0, far, 2, x, 0},
		{"momentum", SGD{Momentum: x}, 1, -square, x, far, 2, 1, 0},
		{"dampened", SGD{Momentum: 1, Dampening: 1 - x}, 1, x, -square, far, 2, 1, 0},
		{"first nesterov", SGD{Momentum: -x, Nesterov: true}, 0, x, 0, 1, 1, square - x, x},
		{"next nesterov", SGD{Momentum: -x, Nesterov: true}, 0, x, 0, 1, 2, square - x, x},
	} {
		param, buf := []float32{c.param}, []float32{c.buf}
		c.sgd.Update(param, []float32{c.grad}, [][]float32{buf}[:c.sgd.Slots()], c.lr, c.step)
		if param[0] != c.wantParam || c.sgd.Slots() == 1 && buf[0] != c.wantBuf {
			t.Errorf("%s: parameter %g and momentum %g, want %g and %g", c.what, param[0], buf[0], c.wantParam, c.wantBuf)
		}
	}
}

// Updating parts of a parameter concurrently and in any order gives the same bits as updating
// it as a whole.
func TestUpdateInPieces(t *testing.T) {
	const n = 1003
	for _, o := range []Optimizer{SGD{}, SGD{WeightDecay: 0.01}, SGD{Momentum: 0.9, WeightDecay: 0.01}, SGD{Momentum: 0.9, Nesterov: true}, AdamW{WeightDecay: 0.1}} {
		run := func(cuts ...int) []float32 {
			param, grad, buf, second := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
			for step := 1; step <= 3; step++ {
				for i := range grad {
					grad[i] = float32(math.Sin(float64(i * step)))
				}
				var wg sync.WaitGroup
				from := 0
				for _, to := range append(cuts, n) {
					a, b := from, to
					wg.Go(func() {
						o.Update(param[a:b], grad[a:b], [][]float32{buf[a:b], second[a:b]}[:o.Slots()], 0.1, step)
					})
					from = to
				}
				wg.Wait()
			}
			return slices.Concat(param, buf, second)
		}
		atOnce := run()
		if !slices.Equal(atOnce, run(0, 1, 5, 512, 1000)) {
			t.Errorf("%+v: pieces give other bits", o)
		}
		if atOnce[7] == 0 {
			t.Errorf("%+v: nothing moved", o)
		}
	}
}

func TestUpdateDoesNotAllocate(t *testing.T) {
	p, g := make([]float32, 64), make([]float32, 64)
	for _, o := range []Optimizer{SGD{Momentum: 0.9}, AdamW{}, LARS{Momentum: 0.9}, &Scaled{AdamW{}, 0.5}} {
		slots := [][]float32{make([]float32, 64), make([]float32, 64)}[:o.Slots()]
		if n := testing.AllocsPerRun(10, func() { o.Update(p, g, slots, 0.1, 2) }); n != 0 {
			t.Errorf("%s: %v allocations a step", o.Name(), n)
		}
	}
}

func TestUpdatePanics(t *testing.T) {
	two, three := make([]float32, 2), make([]float32, 3)
	for _, c := range []struct {
		want string
		call func()
	}{
		{"parameter of 2 elements, gradient of 3", func() { SGD{}.Update(two, three, nil, 1, 1) }},
		{"0 slots, needs 1", func() { SGD{Momentum: 1}.Update(two, two, nil, 1, 1) }},
		{"1 slots, needs 0", func() { SGD{}.Update(two, two, [][]float32{two}, 1, 1) }},
		{"gradient of 2 elements, slot of 3", func() { SGD{Momentum: 1}.Update(two, two, [][]float32{three}, 1, 1) }},
		{"optim.AdamW: 1 slots, needs 2", func() { AdamW{}.Update(two, two, [][]float32{two}, 1, 1) }},
		{"optim.LARS: parameter of 2 elements", func() { LARS{}.Update(two, three, nil, 1, 1) }},
		{"step 0, the first is 1", func() { SGD{}.Update(two, two, nil, 1, 0) }},
	} {
		func() {
			defer func() {
				if m := tensor.Recovered(recover()); m == nil || !strings.Contains(m.Error(), c.want) {
					t.Errorf("want a panic with %q, got %v", c.want, m)
				}
			}()
			c.call()
		}()
	}
}

func TestNewRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name   string
		config Config
		want   string
	}{
		{"adamax", Config{}, `optimizer "adamax" is not known; choose one of: sgd, adamw, lars`},
		{"SGD", Config{}, "is not known"},
		{"sgd", Config{Momentum: -0.9}, "momentum -0.9: must be"},
		{"sgd", Config{Momentum: nan}, "momentum NaN: must be"},
		{"sgd", Config{WeightDecay: inf}, "weight decay +Inf: must be"},
		{"sgd", Config{Dampening: nan}, "dampening NaN: must be"},
		{"sgd", Config{Nesterov: true}, "needs a momentum above 0"},
		{"sgd", Config{Nesterov: true, Momentum: 0.9, Dampening: 0.1}, "no dampening"},
	} {
		if o, err := New(c.name, c.config); err == nil || o != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: want %q, got %v, %v", c.name, c.config, c.want, o, err)
		}
	}
	for _, name := range Names() {
		if o, err := New(name, Config{}); err != nil || o.Name() != name {
			t.Errorf("%s: %v, %v", name, o, err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	const n = 1 << 16 // a part that fits into the cache
	p, g, buf := make([]float32, n), make([]float32, n), make([]float32, n)
	for i := range g {
		g[i], p[i], buf[i] = 1e-3, 1, 1
	}
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(4 * n)
		for b.Loop() {
			copy(p, g)
		}
	})
	for name, o := range map[string]Optimizer{"plain": SGD{}, "momentum": SGD{Momentum: 0.9}, "adamw": AdamW{}, "lars": LARS{}} {
		slots := [][]float32{buf, make([]float32, n)}[:o.Slots()]
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				o.Update(p, g, slots, 1e-6, 2)
			}
		})
	}
}

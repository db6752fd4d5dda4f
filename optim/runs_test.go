package optim

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// torchRun contains 100 steps of an optimiser of PyTorch or timm.
type torchRun struct {
	Optimizer string
	Config    struct {
		Momentum    float32
		Dampening   float32
		WeightDecay float32 `json:"weight_decay"`
		Nesterov    bool
		Betas       [2]float64
		Eps         float64
		Trust       float64 `json:"trust_coeff"`
	}
	Clip   float64
	Params map[string][][]float32 // by step
}

// gradientOf repeats the formula of make_trace.py.
func gradientOf(n, k, step int) []float32 {
	g := make([]float32, n)
	for i := range g {
		g[i] = float32((step*37+i*23+k*11+step*i*5)%385-192) / 16
	}
	return g
}

func TestRunsAgainstPyTorch(t *testing.T) {
	runs := trace(t).Runs
	if len(runs) != 14 {
		t.Fatalf("%d runs", len(runs))
	}
	for r, run := range runs {
		c := run.Config
		o, err := New(run.Optimizer, Config{Momentum: c.Momentum, Dampening: c.Dampening, WeightDecay: c.WeightDecay, Nesterov: c.Nesterov,
			Beta1: c.Betas[0], Beta2: c.Betas[1], Eps: c.Eps, Trust: c.Trust})
		if err != nil {
			t.Fatal(err)
		}
		s := &Scaled{Optimizer: o, Factor: 1}
		params := [][]float32{make([]float32, 7), make([]float32, 3)}
		slots := make([][][]float32, len(params))
		for k, p := range params {
			for i := range p {
				p[i] = float32(i*5%7-3)/4 + float32(k)
			}
			for range s.Slots() {
				slots[k] = append(slots[k], make([]float32, len(p)))
			}
		}
		seen := 0
		for step := 1; step <= 100; step++ {
			lr := float32(0.01)
			if step > 50 {
				lr = 0.0025
			}
			var grads [][]float32
			for k, p := range params {
				grads = append(grads, gradientOf(len(p), k, step))
			}
			if run.Clip > 0 {
				s.Factor = ClipFactor(Norm(grads...), run.Clip)
			}
			for k := range params {
				s.Update(params[k], grads[k], slots[k], lr, step)
			}
			for k, want := range run.Params[strconv.Itoa(step)] {
				seen++
				for i, w := range want {
					if got := params[k][i]; !(math.Abs(float64(got-w)) <= 1e-5*max(1, math.Abs(float64(w)))) {
						t.Errorf("run %d, %s %+v, step %d: parameter %d[%d] is %v, PyTorch has %v", r, run.Optimizer, c, step, k, i, got, w)
					}
				}
			}
		}
		if seen != 10 {
			t.Errorf("run %d: %d parameters compared", r, seen)
		}
	}
}

// One step of AdamW by hand. The averages are a tenth of the gradient and a thousandth of its
// square, and the corrections undo these factors, so the size of the first step is the rate.
func TestAdamWByHand(t *testing.T) {
	param, m, v := []float32{2, 2, 2}, make([]float32, 3), make([]float32, 3)
	AdamW{WeightDecay: 0.5}.Update(param, []float32{4, -0.25, 0}, [][]float32{m, v}, 0.125, 1)
	for i, want := range []float32{2*(1-0.0625) - 0.125, 2*(1-0.0625) + 0.125, 2 * (1 - 0.0625)} {
		if math.Abs(float64(param[i]-want)) > 1e-6 {
			t.Errorf("parameter %d is %v, want %v", i, param[i], want)
		}
	}
	if math.Abs(float64(m[0]-0.4)) > 1e-6 || math.Abs(float64(v[0]-0.016)) > 1e-7 {
		t.Errorf("averages %v and %v", m, v)
	}
}

// LARS by hand: norms 5 and 10, ratio 5/(10+5*0.5).
func TestLARSByHand(t *testing.T) {
	param := []float32{3, 4}
	LARS{Trust: 1, WeightDecay: 0.5, Eps: 1e-12}.Update(param, []float32{6, 8}, nil, 1, 1)
	for i, want := range []float32{3 - 7.5*0.4, 4 - 10*0.4} {
		if math.Abs(float64(param[i]-want)) > 1e-6 {
			t.Errorf("parameter %d is %v, want %v", i, param[i], want)
		}
	}
	zero := []float32{0, 0} // a new bias moves at the full rate
	LARS{}.Update(zero, []float32{6, 8}, nil, 0.5, 1)
	if !slices.Equal(zero, []float32{-3, -4}) {
		t.Errorf("from zero to %v", zero)
	}
	for _, o := range []Optimizer{LARS{}, &Scaled{Optimizer: LARS{}}} {
		if w, ok := o.(interface{ NeedsWholeParameter() bool }); !ok || !w.NeedsWholeParameter() {
			t.Errorf("%T does not require whole parameters", o)
		}
	}
	if (&Scaled{Optimizer: SGD{}}).NeedsWholeParameter() {
		t.Error("scaled SGD requires whole parameters")
	}
}

func TestClipFactor(t *testing.T) {
	for _, c := range []struct{ norm, limit, want float64 }{
		{0, 1, 1}, {0.5, 1, 1}, {1, 1, 1 / 1.000001}, {10, 1, 1 / 10.000001}, {math.Inf(1), 1, 0},
	} {
		if got := ClipFactor(c.norm, c.limit); got != float32(c.want) {
			t.Errorf("norm %v, limit %v: %v, want %v", c.norm, c.limit, got, c.want)
		}
	}
	if f := float64(ClipFactor(math.NaN(), 1)); !math.IsNaN(f) {
		t.Errorf("the norm NaN gives %v", f)
	}
	if n := Norm([]float32{3}, nil, []float32{4, 12}); n != 13 {
		t.Errorf("norm %v, want 13", n)
	}
}

func TestNewRefusesWhatIsNotUsed(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		want   string
	}{
		{"adamw", Config{Momentum: 0.9}, "adamw has no setting momentum"},
		{"adamw", Config{Dampening: 0.1}, "adamw has no setting dampening"},
		{"adamw", Config{Beta1: 1}, "beta1 1: must be a share"},
		{"adamw", Config{Beta2: -0.1}, "beta2 -0.1: must be a share"},
		{"adamw", Config{Eps: math.Inf(1)}, "eps +Inf: must be"},
		{"sgd", Config{Beta1: 0.9}, "sgd has no setting beta1"},
		{"sgd", Config{Eps: 1}, "sgd has no setting eps"},
		{"lars", Config{Beta2: 0.9}, "lars has no setting beta2"},
		{"adamw", Config{Trust: 0.1}, "adamw has no setting trust"},
		{"lars", Config{Nesterov: true}, "needs a momentum above 0"},
	} {
		if o, err := New(c.name, c.config); err == nil || o != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: want %q, got %v, %v", c.name, c.config, c.want, o, err)
		}
	}
}

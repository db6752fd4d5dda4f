package nn_test

import (
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// moments returns mean, std and largest magnitude.
func moments(x []float32) (mean, std, most float64) {
	for _, v := range x {
		mean += float64(v) / float64(len(x))
		most = max(most, math.Abs(float64(v)))
	}
	for _, v := range x {
		std += (float64(v) - mean) * (float64(v) - mean) / float64(len(x))
	}
	return mean, math.Sqrt(std), most
}

func TestInitDistributions(t *testing.T) {
	conv := nn.NewConv2d(32, 48, 3, nn.Conv{Groups: 2}) // weight [48, 16, 3, 3]: fans 144 and 432
	linear := nn.NewLinear(300, 200)
	net := nn.Sequential{conv, linear}
	const third = 0.5773502691896258 // sqrt(1/3): std of U(-1, 1)
	for _, c := range []struct {
		scheme                             nn.Scheme
		convBound, convDev, linBound, linD float64
	}{
		{nn.PyTorchDefault, 1. / 12, third / 12, 1 / math.Sqrt(300), third / math.Sqrt(300)},
		{nn.XavierUniform, math.Sqrt(6. / 576), third * math.Sqrt(6./576), math.Sqrt(6. / 500), third * math.Sqrt(6./500)},
		{nn.KaimingNormal, math.Inf(1), math.Sqrt(2. / 432), 1 / math.Sqrt(300), third / math.Sqrt(300)},
	} {
		nn.Init(net, 11, c.scheme)
		check := func(what string, v *nn.Parameter, bound, dev float64) {
			t.Helper()
			n := float64(v.Value.Numel())
			mean, got, most := moments(v.Value.Data())
			if math.Abs(mean) > 4*dev/math.Sqrt(n) || math.Abs(got/dev-1) > 4/math.Sqrt(n) || most > bound {
				t.Errorf("%v %s: mean %g, std %g, most %g; want 0, %g, at most %g", c.scheme, what, mean, got, most, dev, bound)
			}
			if !math.IsInf(bound, 0) && most < bound*(1-20/n) {
				t.Errorf("%v %s: the largest magnitude %g is far from the bound %g", c.scheme, what, most, bound)
			}
		}
		check("conv weight", conv.Weight, c.convBound, c.convDev)
		check("linear weight", linear.Weight, c.linBound, c.linD)
		check("conv bias", conv.Bias, 1./12, third/12)
		check("linear bias", linear.Bias, 1/math.Sqrt(300), third/math.Sqrt(300))
	}
}

// The fractions of a normal distribution within one, two and three standard deviations.
func TestNormalHasItsTails(t *testing.T) {
	x := tensor.New(100001) // odd, so the last number has no partner
	nn.NewSource(5, "x").Normal(x, 2)
	for i, want := range []float64{0.682689, 0.954500, 0.997300} {
		within := 0
		for _, v := range x.Data() {
			if math.Abs(float64(v)) <= 2*float64(i+1) {
				within++
			}
		}
		got, spread := float64(within)/100001, math.Sqrt(want*(1-want)/100001)
		if math.Abs(got-want) > 4*spread {
			t.Errorf("%.5f lie within %d stds, want %.5f", got, i+1, want)
		}
	}
	if x.Data()[100000] == 0 {
		t.Error("the last element was not drawn")
	}
}

func TestInitIsDeterministic(t *testing.T) {
	draw := func(seed uint64, layers ...nn.Module) map[string]*tensor.Tensor {
		net := nn.Sequential(layers)
		nn.Init(net, seed, nn.PyTorchDefault)
		return entries(net)
	}
	conv := func() nn.Module { return nn.NewConv2d(3, 3, 3) }
	a, b := draw(1, conv(), conv()), draw(1, conv(), conv(), nn.NewLinear(3, 3))
	for name, v := range a {
		if !slices.Equal(v.Data(), b[name].Data()) {
			t.Errorf("%s changes when a layer is added", name)
		}
	}
	if slices.Equal(a["0.weight"].Data(), a["1.weight"].Data()) {
		t.Error("two layers of one network are equal")
	}
	if slices.Equal(a["0.weight"].Data(), draw(2, conv())["0.weight"].Data()) {
		t.Error("the seed makes no difference")
	}
	if slices.Equal(a["0.weight"].Data()[:3], a["0.bias"].Data()) {
		t.Error("weight and bias share a stream")
	}
}

func TestNewLayersAreReadyToUse(t *testing.T) {
	c := nn.NewConv2d(16, 16, 3)
	if _, dev, _ := moments(c.Weight.Value.Data()); math.Abs(dev*12*math.Sqrt(3)-1) > 0.1 {
		t.Errorf("a new convolution's weights have the std %g", dev)
	}
	if !slices.Equal(c.Weight.Value.Data(), nn.NewConv2d(16, 16, 3).Weight.Value.Data()) {
		t.Error("a new layer depends on something hidden")
	}
}

func TestInitResetsBatchNorm(t *testing.T) {
	bn := nn.NewBatchNorm2d(2)
	bare := nn.NewBatchNorm2d(2, nn.Norm{NoAffine: true})
	for _, p := range nn.Named(bn) {
		p.Value.Fill(7)
	}
	bare.RunningVar.Value.Fill(7)
	nn.Init(nn.Sequential{bn, bare}, 1, nn.XavierUniform)
	for i, want := range []float32{1, 0, 0, 1} {
		if p := nn.Named(bn)[i]; p.Value.Data()[1] != want {
			t.Errorf("%s is %v, want %v", p.Name, p.Value, want)
		}
	}
	if bare.RunningVar.Value.Data()[0] != 1 {
		t.Error("the statistics without affine parameters are not reset")
	}
}

// The first words of SplitMix64 from state 0, known from other implementations.
func TestSourceIsSplitMix64(t *testing.T) {
	var s nn.Source
	for i, want := range []uint64{16294208416658607535, 7960286522194355700, 487617019471545679} {
		if got := s.Uint64(); got != want {
			t.Errorf("word %d of state 0 is %d, want %d", i, got, want)
		}
	}
}

func TestSchemeNames(t *testing.T) {
	for _, s := range []nn.Scheme{nn.PyTorchDefault, nn.XavierUniform, nn.KaimingNormal} {
		if got, err := nn.ParseScheme(s.String()); err != nil || got != s {
			t.Errorf("%v is read as %v (%v)", s, got, err)
		}
	}
	if _, err := nn.ParseScheme("zeros"); err == nil {
		t.Error("an unknown scheme was accepted")
	}
	mustPanic(t, "unknown scheme", func() { nn.Init(nn.NewLinear(1, 1), 0, 9) }, "Scheme(9)")
}

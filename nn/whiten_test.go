package nn_test

import (
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// smoothImages returns images [n, channels, side, side] whose neighbouring pixels and channels are
// correlated, around a mean of 0.4.
func smoothImages(n, channels, side int) *tensor.Tensor {
	x := tensor.New(n, channels, side, side)
	source := nn.NewSource(1, "images")
	noise := tensor.New(n, channels+1, side+1, side+1)
	source.Normal(noise, 0.1)
	at := func(i, c, row, column int) float32 {
		return noise.Data()[((i*(channels+1)+c)*(side+1)+row)*(side+1)+column]
	}
	for k := range x.Data() {
		i, c, row, column := k/(channels*side*side), k/(side*side)%channels, k/side%side, k%side
		x.Data()[k] = 0.4 + at(i, c, row, column) + at(i, c, row+1, column) + 0.5*at(i, c, row, column+1) + 0.7*at(i, channels, row, column)
	}
	return x
}

// The outputs of a whitened layer have mean 0 and covariance 1, and the second half are the first
// half's negatives. Filters that are left over keep their values.
func TestWhiten(t *testing.T) {
	const channels, filters = 2, 20
	images := smoothImages(24, channels, 12)
	l := nn.NewConv2d(channels, filters, 2)
	before := slices.Clone(l.Weight.Value.Data())
	nn.Whiten(l, images)
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	y, err := engine.Call(dev, graph.Eval, l.Forward, images)
	if err != nil {
		t.Fatal(err)
	}
	const size = channels * 4
	s := y.Shape()
	area, count := s[2]*s[3], s[0]*s[2]*s[3]
	value := func(c, k int) float64 { return float64(y.Data()[(k/area*s[1]+c)*area+k%area]) }
	for a := range size {
		mean := 0.0
		for k := range count {
			mean += value(a, k) / float64(count)
			if value(a, k) != -value(a+size, k) {
				t.Fatalf("output %d is %v and output %d is %v, not its negative", a, value(a, k), a+size, value(a+size, k))
			}
		}
		if math.Abs(mean) > 1e-4 {
			t.Errorf("the mean of output %d is %v, not 0", a, mean)
		}
		for b := range a + 1 {
			covariance, want := 0.0, 0.0
			for k := range count {
				covariance += value(a, k) * value(b, k) / float64(count)
			}
			if a == b {
				want = 1
			}
			if math.Abs(covariance-want) > 0.01 { // of the share that is added to the variances
				t.Errorf("the covariance of outputs %d and %d is %v, not %v", a, b, covariance, want)
			}
		}
	}
	rest := 2 * size * size
	if !slices.Equal(l.Weight.Value.Data()[rest:], before[rest:]) || slices.Equal(l.Weight.Value.Data()[:rest], before[:rest]) {
		t.Error("the filters that are left over changed, or the others did not")
	}
	nn.Whiten(l, tensor.New(2, channels, 4, 4).Fill(0.5))
	for i, v := range l.Weight.Value.Data() {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			t.Fatalf("images of one colour make weight %d %v", i, v)
		}
	}
}

// With Identity the first filters return the channels, with any scheme.
func TestIdentityConvolution(t *testing.T) {
	l := nn.NewConv2d(3, 5, 3, nn.Conv{Padding: 1, Identity: true})
	nn.Init(l, 7, nn.KaimingNormal)
	images := smoothImages(2, 3, 6)
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	l.Bias.Value.Fill(0)
	y, err := engine.Call(dev, graph.Eval, l.Forward, images)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		x, of := images.Data()[i*3*36:][:3*36], y.Data()[i*5*36:][:3*36]
		if !slices.Equal(x, of) {
			t.Errorf("image %d: the first outputs are not the channels", i)
		}
	}
	if slices.Max(l.Weight.Value.Data()[3*27:]) == 0 {
		t.Error("the other filters are 0")
	}
}

package loop_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train/loop"
)

var crossEntropy = nn.CrossEntropyLoss{}.Forward

// stepper compiles m for batches of n images of 28x28, the first of which have a label.
func stepper(t *testing.T, m nn.Module, n, threads int, o loop.Options) *loop.Stepper {
	t.Helper()
	s, err := loop.Compile(device(t, threads), m, crossEntropy, loop.Shapes{Inputs: tensor.Shape{n, 1, 28, 28}}, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// batches returns the images and labels of the batches of an epoch, which are the caller's.
func batches(t *testing.T, ds data.Dataset, n int) (images, labels []*tensor.Tensor) {
	t.Helper()
	l, err := data.NewLoader(ds, data.LoaderConfig{Batch: n})
	if err != nil {
		t.Fatal(err)
	}
	e := l.Epoch(context.Background(), 1)
	defer e.Close()
	for {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			return images, labels
		}
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, tensor.FromSlice(slices.Clone(b.Images.Data()), b.Images.Shape()...))
		labels = append(labels, tensor.FromInts(slices.Clone(b.Labels.Ints()), b.Labels.Shape()...))
		b.Release()
	}
}

// step makes one step with each batch.
func step(t *testing.T, s *loop.Stepper, images, labels []*tensor.Tensor, lr float32) (last float64) {
	t.Helper()
	for i := range images {
		loss, err := s.Forward(images[i], labels[i])
		if err = errors.Join(err, s.Backward(), s.Step(lr)); err != nil {
			t.Fatal(err)
		}
		last = loss
	}
	return last
}

// begun returns a new small network with fixed weights.
func begun() *small {
	m := newSmall()
	nn.Init(m, 4, nn.KaimingNormal)
	return m
}

// A loop by hand computes the bits of Trainer.Step, for any number of threads, also with the
// last batch smaller than the others.
func TestStepperHasTheBitsOfTheTrainer(t *testing.T) {
	ds := garments(t, data.Train, 40)
	images, labels := batches(t, ds, 16)
	for name, o := range map[string]loop.Options{
		"momentum": {Optimizer: optim.SGD{Momentum: 0.9, WeightDecay: 1e-3}},
		"all":      {Optimizer: optim.AdamW{WeightDecay: 0.01}, ClipNorm: 0.5, EMA: 0.9, Freeze: []string{"stem"}, LayerDecay: 0.8},
	} {
		whole := begun()
		wide := o
		wide.Batch = 16
		tr, err := loop.New(device(t, 1), whole, ds, nil, wide)
		if err != nil {
			t.Fatal(err)
		}
		want := 0.0
		for i := range images {
			if want, _, err = tr.Step(images[i], labels[i], 0.05); err != nil {
				t.Fatal(err)
			}
		}
		tr.Store().Pull()
		for threads := 1; threads <= 3; threads++ {
			m := begun()
			s := stepper(t, m, 16, threads, o)
			got := step(t, s, images, labels, 0.05)
			if err := s.Pull(); err != nil {
				t.Fatal(err)
			}
			if got != want || hash(m) != hash(whole) || s.Steps() != 3 {
				t.Errorf("%s on %d threads: the loss %v, want %v, after %d steps", name, threads, got, want, s.Steps())
			}
		}
	}
}

// Everything that a training has become is saved, and what is read goes on with the same bits.
func TestStepperResumesWithTheSameBits(t *testing.T) {
	images, labels := batches(t, garments(t, data.Train, 48), 8)
	for name, o := range map[string]loop.Options{
		"sgd": {}, "adamw": {Optimizer: optim.AdamW{WeightDecay: 0.01}, EMA: 0.9}, "own": {Optimizer: &heavy{}},
	} {
		whole, first, second := begun(), begun(), newSmall()
		want := stepper(t, whole, 8, 1, o)
		step(t, want, images, labels, 0.02)
		before := stepper(t, first, 8, 1, o)
		var start, middle bytes.Buffer
		if err := before.Save(&start); err != nil {
			t.Fatal(err)
		}
		step(t, before, images[:3], labels[:3], 0.02)
		if err := before.Save(&middle); err != nil {
			t.Fatal(err)
		}
		after := stepper(t, second, 8, 2, o)
		if err := after.Load(&middle); err != nil || after.Steps() != 3 {
			t.Fatal(after.Steps(), err)
		}
		step(t, after, images[3:], labels[3:], 0.02)
		if err := errors.Join(want.Pull(), after.Pull()); err != nil || hash(second) != hash(whole) {
			t.Errorf("%s: the resumed training has other weights (%v)", name, err)
		}
		if err := after.Load(&start); err != nil {
			t.Fatal(err)
		}
		step(t, after, images, labels, 0.02)
		if err := after.Pull(); err != nil || hash(second) != hash(whole) {
			t.Errorf("%s: a training put back to its start has other weights (%v)", name, err)
		}
	}
}

// heavy is an optimiser of one's own: gradient descent with a momentum, on float32 slices.
type heavy struct{}

func (*heavy) Name() string { return "heavy" }
func (*heavy) Slots() int   { return 1 }
func (*heavy) Update(param, grad []float32, slots [][]float32, lr float32, step int) {
	for i, g := range grad {
		v := float32(slots[0][i]*0.9) + g
		slots[0][i] = v
		param[i] -= float32(lr * v)
	}
}

// An optimiser of one's own with the formula of SGD computes its bits.
func TestStepperTakesAnOwnOptimizer(t *testing.T) {
	images, labels := batches(t, garments(t, data.Train, 24), 8)
	ours, own := begun(), begun()
	a, b := stepper(t, ours, 8, 1, loop.Options{Optimizer: optim.SGD{Momentum: 0.9}}), stepper(t, own, 8, 1, loop.Options{Optimizer: &heavy{}})
	step(t, a, images, labels, 0.05)
	step(t, b, images, labels, 0.05)
	if err := errors.Join(a.Pull(), b.Pull()); err != nil || hash(ours) != hash(own) {
		t.Errorf("the weights differ (%v)", err)
	}
}

// Gradients of several batches add up, and scaled by their number they are those of one batch
// of all images. Predict in between leaves them alone.
func TestStepperAccumulates(t *testing.T) {
	net := func() nn.Module {
		m := nn.Sequential{nn.Flatten{}, nn.NewLinear(784, 20), nn.ReLU{}, nn.NewLinear(20, 10)}
		nn.Init(m, 1, nn.KaimingNormal)
		return m
	}
	ds := garments(t, data.Train, 24)
	small, smallLabels := batches(t, ds, 8)
	large, largeLabels := batches(t, ds, 24)
	one, three := net(), net()
	a, b := stepper(t, one, 24, 1, loop.Options{}), stepper(t, three, 8, 1, loop.Options{})
	for range 2 {
		_, err := a.Forward(large[0], largeLabels[0])
		if err = errors.Join(err, a.Backward()); err != nil {
			t.Fatal(err)
		}
		for i := range small {
			_, err := b.Forward(small[i], smallLabels[i])
			if err = errors.Join(err, b.Backward()); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Predict(small[0]); err != nil {
				t.Fatal(err)
			}
		}
		b.ScaleGradients(1. / 3)
		if x, y := a.GradientNorm(), b.GradientNorm(); math.Abs(x-y) > 1e-5*x || x == 0 {
			t.Errorf("the norms are %v and %v", x, y)
		}
		if was := b.ClipGradients(0.1); math.Abs(was-a.ClipGradients(0.1)) > 1e-5*was || math.Abs(b.GradientNorm()-0.1) > 1e-5 {
			t.Errorf("clipped from %v to %v", was, b.GradientNorm())
		}
		var all [][]float32
		for k, g := range b.Gradients() {
			all = append(all, g.Tensor.Data())
			other := a.Gradients()[k]
			for i, v := range g.Tensor.Data() {
				if w := other.Tensor.Data()[i]; other.Name != g.Name || math.Abs(float64(v-w)) > 1e-6 {
					t.Fatalf("the gradient of %s is %v, that of %s is %v", g.Name, v, other.Name, w)
				}
			}
		}
		if n := optim.Norm(all...); math.Abs(n-0.1) > 1e-5 {
			t.Errorf("the gradients have the norm %v", n)
		}
		if err := errors.Join(a.Step(0.5), b.Step(0.5)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Pull(), b.Pull()); err != nil {
		t.Fatal(err)
	}
	x, y := nn.StateDict(one), nn.StateDict(three)
	for k := range x {
		for i, v := range x[k].Tensor.Data() {
			if math.Abs(float64(v-y[k].Tensor.Data()[i])) > 1e-6 {
				t.Fatalf("%s differs", x[k].Name)
			}
		}
	}
}

// Targets in float32 of any shape go with a loss of one's own, and inputs need not be images.
func TestStepperTakesAnyShapes(t *testing.T) {
	m := nn.NewLinear(3, 2)
	nn.Init(m, 1, nn.KaimingNormal)
	squares := func(outputs, targets *graph.Node) *graph.Node { return outputs.Sub(targets).Pow(2).Mean() }
	s, err := loop.Compile(device(t, 1), m, squares, loop.Shapes{Inputs: tensor.Shape{4, 3}, Targets: tensor.Shape{4, 2}}, loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := tensor.FromSlice([]float32{1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1}, 4, 3)
	y := tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6, 9, 12}, 4, 2)
	if loss := step(t, s, slices.Repeat([]*tensor.Tensor{x}, 500), slices.Repeat([]*tensor.Tensor{y}, 500), 0.5); loss > 1e-6 {
		t.Errorf("the loss of a linear function is %v", loss)
	}
	out, err := s.Predict(tensor.FromSlice([]float32{2, 0, 0}, 1, 3))
	if err != nil || math.Abs(float64(out.Data()[0])-2) > 0.01 || math.Abs(float64(out.Data()[1])-4) > 0.01 {
		t.Errorf("predicted %v, %v", out, err)
	}
	if _, err := s.Forward(x, y); err != nil || !s.Outputs().Shape().Equal(tensor.Shape{4, 2}) {
		t.Errorf("the outputs are of %v, %v", s.Outputs().Shape(), err)
	}
}

// spare has a layer that its Forward does not use.
type spare struct{ Used, Unused *nn.Linear }

func (m *spare) Forward(x *graph.Node) *graph.Node { return m.Used.Forward(nn.Flatten{}.Forward(x)) }

// Parameters that the loss does not reach are reported once and left alone: neither weight decay
// nor momentum changes them, and the state has no slots of them.
func TestUnreachedParametersAreLeftAlone(t *testing.T) {
	decay := loop.Options{Optimizer: optim.SGD{Momentum: 0.9, WeightDecay: 0.1}, EMA: 0.9}
	names := []string{"unused.weight", "unused.bias"}
	fresh := func() *spare {
		m := &spare{nn.NewLinear(784, 10), nn.NewLinear(3, 3)}
		nn.Init(m, 1, nn.KaimingNormal)
		return m
	}
	ds := garments(t, data.Train, 24)
	images, labels := batches(t, ds, 8)
	m, as := fresh(), fresh()
	s := stepper(t, m, 8, 1, decay)
	step(t, s, images, labels, 0.1)
	state, err := s.State()
	if err != nil || !slices.Equal(s.Unreached(), names) || len(state.Slots) != 2 || len(state.Values) != 4 {
		t.Errorf("unreached are %q, the slots are %d, the values %d, %v", s.Unreached(), len(state.Slots), len(state.Values), err)
	}
	again := stepper(t, fresh(), 8, 1, decay)
	if err := again.Restore(state); err != nil {
		t.Error(err)
	}
	decay.Batch, decay.Epochs = 8, 2
	trained := fresh()
	tr, err := loop.New(device(t, 1), trained, ds, nil, decay)
	if err != nil {
		t.Fatal(err)
	}
	var told [][]string
	if _, err := tr.Fit(t.Context(), loop.Events{OnUnreached: func(n []string) { told = append(told, n) }}, nil); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || !slices.Equal(told[0], names) {
		t.Errorf("reported %q", told)
	}
	for _, m := range []*spare{m, trained} {
		if !slices.Equal(m.Unused.Weight.Value.Data(), as.Unused.Weight.Value.Data()) || slices.Equal(m.Used.Weight.Value.Data(), as.Used.Weight.Value.Data()) {
			t.Error("the unused layer was changed, or the used one was not")
		}
	}
}

// asking is a module with an input of its own, which nothing feeds.
type asking struct{ Layer *nn.Linear }

func (m *asking) Forward(x *graph.Node) *graph.Node {
	return m.Layer.Forward(nn.Flatten{}.Forward(x)).Add(x.Graph.Input("mood", tensor.Float32, x.Shape[0], 10))
}

// What a training by hand may get wrong is an error that says what to do.
func TestStepperRefuses(t *testing.T) {
	refused := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	images, labels := batches(t, garments(t, data.Train, 8), 8)
	shapes := loop.Shapes{Inputs: tensor.Shape{8, 1, 28, 28}}
	dev := device(t, 1)
	_, err := loop.Compile(dev, begun(), crossEntropy, shapes, loop.Options{Epochs: 3})
	refused(err, "{Epochs}, which is of the loop of a Trainer")
	_, err = loop.Compile(dev, begun(), crossEntropy, loop.Shapes{}, loop.Options{})
	refused(err, "give the shapes of a batch")
	_, err = loop.Compile(dev, nil, crossEntropy, shapes, loop.Options{})
	refused(err, "needs a module and a loss")
	_, err = loop.Compile(dev, begun(), func(o, _ *graph.Node) *graph.Node { return o }, shapes, loop.Options{})
	refused(err, "take its Mean()")
	_, err = loop.Compile(dev, begun(), func(o, _ *graph.Node) *graph.Node { return o.Detach().Mean() }, shapes, loop.Options{})
	refused(err, "the loss depends on no parameter")

	s := stepper(t, begun(), 8, 1, loop.Options{})
	refused(s.Backward(), "call Forward")
	refused(s.Step(0.1), "call Forward and Backward")
	_, err = s.Forward(images[0], nil)
	refused(err, "give both")
	_, err = s.Forward(images[0], tensor.FromInts([]int64{1, 2}, 2))
	refused(err, "labels of shape [2]")
	_, err = s.Forward(images[0], tensor.FromInts([]int64{0, 1, 2, 3, 4, 5, 6, 10}, 8))
	refused(err, "label 10 of image 7 in the batch is outside 0..9")
	_, err = s.Forward(images[0], labels[0])
	if err != nil {
		t.Fatal(err)
	}
	refused(s.Step(0.1), "call Forward and Backward")
	if err := s.Backward(); err != nil {
		t.Fatal(err)
	}
	refused(s.Backward(), "without a Forward")
	refused(s.Save(io.Discard), "between Backward and Step")
	if s.ZeroGrad(); s.GradientNorm() != 0 || s.Gradients() != nil {
		t.Error("ZeroGrad leaves gradients")
	}
	var state bytes.Buffer
	if err := s.Save(&state); err != nil {
		t.Fatal(err)
	}
	text := state.Bytes()
	refused(s.Load(bytes.NewReader(text[:len(text)/2])), "the state of the training")
	refused(stepper(t, begun(), 8, 1, loop.Options{Optimizer: optim.AdamW{}}).Load(bytes.NewReader(text)), "optimiser sgd, and this one has adamw")
	refused(stepper(t, nn.Sequential{nn.Flatten{}, nn.NewLinear(784, 10)}, 8, 1, loop.Options{}).Load(bytes.NewReader(text)), "2 missing (1.weight, 1.bias)")

	bad := tensor.FromSlice(slices.Repeat([]float32{float32(math.NaN())}, 8*784), 8, 1, 28, 28)
	if _, err := s.Forward(bad, labels[0]); !errors.Is(err, loop.ErrNotFinite) {
		t.Errorf("images that are not finite: %v", err)
	}
	refused(s.Backward(), "call Forward")

	unfed := stepper(t, &asking{nn.NewLinear(784, 10)}, 8, 1, loop.Options{})
	_, err = unfed.Forward(images[0], labels[0])
	refused(err, "nothing was fed to input mood [8, 10]")
}

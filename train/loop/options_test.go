package loop

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// plainNet has no batch norm, so the gradient of a batch is the sum over its images.
func plainNet() nn.Module {
	return nn.Sequential{nn.NewConv2d(1, 6, 5, nn.Conv{Stride: 2}), nn.Tanh{}, nn.AvgPool2d{Kernel: 2, Stride: 2}, nn.Flatten{}, nn.NewLinear(216, 10)}
}

// normalised is a network with batch norms.
func normalised() nn.Module {
	return nn.Sequential{nn.NewConv2d(1, 8, 5, nn.Conv{Stride: 2}), nn.NewBatchNorm2d(8), nn.ReLU{}, nn.NewConv2d(8, 8, 3), nn.NewBatchNorm2d(8), nn.ReLU{},
		nn.AdaptiveAvgPool2d{}, nn.Flatten{}, nn.NewLinear(8, 10)}
}

func someImages(t *testing.T, split data.Split, n int) data.Dataset {
	t.Helper()
	ds, err := data.Open(context.Background(), "garments", data.Options{Split: split, Size: n})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func trainerOf(t *testing.T, m nn.Module, train, test data.Dataset, o Options) *Trainer {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dev.Close)
	nn.Init(m, 4, nn.XavierUniform)
	tr, err := New(dev, m, train, test, o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// apart returns the largest difference between the values of two modules.
func apart(a, b nn.Module) float64 {
	worst := 0.0
	other := nn.StateDict(b)
	for i, n := range nn.StateDict(a) {
		for j, v := range n.Tensor.Data() {
			worst = max(worst, math.Abs(float64(v-other[i].Tensor.Data()[j])))
		}
	}
	return worst
}

// Accumulating several batches gives the same step as one larger batch, also at the end of an
// epoch and with everything that is divided by a batch's size or weights.
func TestAccumulateIsALargerBatch(t *testing.T) {
	ds := someImages(t, data.Train, 72)
	for name, o := range map[string]Options{
		"plain":     {},
		"momentum":  {Optimizer: optim.SGD{Momentum: 0.9, WeightDecay: 1e-3}, ClipNorm: 0.3, EMA: 0.8},
		"adamw":     {Optimizer: optim.AdamW{}, LabelSmoothing: 0.1},
		"lars":      {Optimizer: optim.LARS{Momentum: 0.9, WeightDecay: 1e-3}, EMA: 0.5, Schedule: optim.Constant{Base: 5}},
		"weighted":  {ClassWeights: []float32{1, 2, 3, 0.5, 1, 1, 4, 1, 1, 0.1}, LabelSmoothing: 0.2},
		"schedules": {Schedule: optim.Cosine{Base: 0.1}},
	} {
		o.Epochs, o.Seed = 2, 3
		large, small := o, o
		large.Batch = 32
		small.Batch, small.Accumulate = 8, 4 // nine batches: two steps of four and one of one
		a, b := trainerOf(t, plainNet(), ds, nil, large), trainerOf(t, plainNet(), ds, nil, small)
		before := nn.StateDict(a.module)[0].Tensor.Clone()
		run(t, a, nil)
		if totals := run(t, b, nil); totals.Steps != 18 || b.store.Step() != 6 || a.store.Step() != 6 {
			t.Errorf("%s: %d batches, %d steps, want %d", name, totals.Steps, b.store.Step(), a.store.Step())
		}
		if off := apart(a.module, b.module); !(off < 2e-5) {
			t.Errorf("%s: %v apart from one large batch", name, off)
		}
		if slices.Equal(before.Data(), nn.StateDict(a.module)[0].Tensor.Data()) {
			t.Errorf("%s: nothing was trained", name)
		}
	}
}

// The average of the weights follows the formula in every step. It is evaluated, saved and
// left in the module, while the training continues from the weights themselves.
func TestAverageOfWeights(t *testing.T) {
	ds, tests := someImages(t, data.Train, 60), someImages(t, data.Test, 80)
	o := Options{Batch: 20, Epochs: 3, Seed: 1, Optimizer: optim.SGD{Momentum: 0.9}, Schedule: optim.Constant{Base: 0.1}}
	plain := trainerOf(t, normalised(), ds, tests, o)
	mean := map[string][]float64{}
	for _, n := range nn.StateDict(plain.module) {
		for _, v := range n.Tensor.Data() {
			mean[n.Name] = append(mean[n.Name], float64(v))
		}
	}
	const decay = 0.4
	step := 0
	raw := map[int][]tensor.Named{}
	if _, err := plain.Fit(context.Background(), Events{OnBatch: func(BatchEvent) {
		step++
		d := min(decay, float64(1+step)/float64(10+step))
		plain.store.Pull()
		for _, n := range nn.StateDict(plain.module) {
			for j, v := range n.Tensor.Data() {
				mean[n.Name][j] = d*mean[n.Name][j] + (1-d)*float64(v)
			}
		}
		raw[step] = copies(nn.StateDict(plain.module))
	}}, nil); err != nil {
		t.Fatal(err)
	}
	o.EMA = decay
	averaged := trainerOf(t, normalised(), ds, tests, o)
	var last Epoch
	totals := run(t, averaged, func(e Epoch) error {
		last = e
		for i, n := range averaged.trainedValues() {
			if want := raw[3*e.Epoch][i]; n.Name != want.Name || !slices.Equal(n.Tensor.Data(), want.Tensor.Data()) {
				t.Errorf("epoch %d: the average has touched the training of %s", e.Epoch, n.Name)
			}
		}
		return nil
	})
	for _, n := range nn.StateDict(averaged.module) {
		for j, want := range mean[n.Name] {
			if got := float64(n.Tensor.Data()[j]); math.Abs(got-want) > 1e-5*max(1, math.Abs(want)) {
				t.Fatalf("%s[%d] is %v, want %v", n.Name, j, got, want)
			}
		}
	}
	o.EMA = 0
	again := trainerOf(t, normalised(), ds, tests, o)
	if err := nn.LoadStateDict(again.module, byName(nn.StateDict(averaged.module))); err != nil {
		t.Fatal(err)
	}
	again.store.Push()
	e := fit{Trainer: again}
	r := running{images: 1, steps: 1}
	if err := e.finish(context.Background(), 1, &r); err != nil || e.totals.TestAccuracy != totals.TestAccuracy || last.TestAccuracy != totals.TestAccuracy {
		t.Errorf("what is left has accuracy %v (%v), the last epoch had %v", e.totals.TestAccuracy, err, last.TestAccuracy)
	}
}

func copies(all []tensor.Named) (list []tensor.Named) {
	for _, n := range all {
		list = append(list, tensor.Named{Name: n.Name, Tensor: n.Tensor.Clone()})
	}
	return list
}

// Gradients whose norm exceeds the limit are all scaled by one factor.
func TestClipNorm(t *testing.T) {
	ds := someImages(t, data.Train, 40)
	length := func(limit float64) float64 {
		tr := trainerOf(t, normalised(), ds, nil, Options{Batch: 40, Epochs: 1, Schedule: optim.Constant{Base: 1}, ClipNorm: limit})
		before := copies(nn.StateDict(tr.module))
		run(t, tr, nil)
		sum := 0.0
		for i, p := range nn.Named(tr.module) {
			for j, v := range p.Value.Data() {
				if d := float64(v - before[i].Tensor.Data()[j]); p.Trainable {
					sum += d * d
				}
			}
		}
		return math.Sqrt(sum)
	}
	free := length(0)
	if got := length(free / 3); math.Abs(got-free/3) > 1e-4*free {
		t.Errorf("a step of length %v was cut to %v, want %v", free, got, free/3)
	}
	if got := length(2 * free); got != free {
		t.Errorf("a step of length %v became %v under a limit of twice that", free, got)
	}
}

// With Mix the training uses soft labels, for any number of workers, and a prediction is
// correct if it is the class with the largest one.
func TestMixTrainsOnSoftLabels(t *testing.T) {
	ds := someImages(t, data.Train, 60)
	fit := func(workers int, mix transforms.BatchTransform) (*Trainer, Totals) {
		tr := trainerOf(t, normalised(), ds, nil, Options{Batch: 16, Epochs: 2, Workers: workers, Mix: mix, Transform: transforms.RandomHorizontalFlip{P: 0.5}, LabelSmoothing: 0.1})
		return tr, run(t, tr, nil)
	}
	one, first := fit(1, transforms.Mixup{Alpha: 0.4})
	three, second := fit(3, transforms.Mixup{Alpha: 0.4})
	if apart(one.module, three.module) != 0 || first.Loss != second.Loss || first.Accuracy != second.Accuracy {
		t.Error("the result depends on the number of workers")
	}
	if none, _ := fit(1, nil); apart(one.module, none.module) == 0 {
		t.Error("nothing was mixed")
	}
	// Soft labels of one class are labels.
	soft, labels := tensor.New(4, 10), []int64{3, 0, 9, 3}
	for i, label := range labels {
		soft.Data()[i*10+int(label)] = 1
	}
	images := tensor.New(4, 1, 28, 28)
	nn.NewSource(1, "x").Uniform(images, 1)
	a, b := trainerOf(t, plainNet(), ds, nil, Options{Batch: 4}), trainerOf(t, plainNet(), ds, nil, Options{Batch: 4})
	for range 3 {
		la, ha, err := a.Step(images, tensor.FromInts(labels, 4), 0.5)
		if err != nil {
			t.Fatal(err)
		}
		lb, hb, err := b.Step(images, soft, 0.5)
		if err != nil || math.Abs(la-lb) > 1e-6 || ha != hb {
			t.Errorf("loss %v and %d right by labels, %v and %d by soft labels (%v)", la, ha, lb, hb, err)
		}
	}
	if _, hits, err := b.Step(images, soft, 0); err != nil || hits == 0 {
		t.Errorf("%d right after three steps (%v)", hits, err)
	}
	if _, _, err := b.Step(images, tensor.New(4, 9), 0); err == nil {
		t.Error("soft soft of nine classes were accepted")
	}
	flipped := copies([]tensor.Named{{Name: "x", Tensor: soft}})[0].Tensor
	for i := range flipped.Data() {
		flipped.Data()[i] = 0.49 * soft.Data()[i]
	}
	for i := range 4 {
		flipped.Data()[i*10+1] = 0.51 // the label of no image
	}
	if _, hits, err := b.Step(images, flipped, 0); err != nil || hits != 0 {
		t.Errorf("%d predictions count as correct that are not the largest soft label (%v)", hits, err)
	}
}

// ClassWeights are those of nn.CrossEntropyLoss, and balanced weights make every class count
// the same.
func TestClassWeights(t *testing.T) {
	w, err := BalancedWeights([]int{0, 0, 0, 1, 2, 2}, []string{"a", "b", "c"})
	if err != nil || !slices.Equal(w, []float32{6.0 / 9, 2, 1}) {
		t.Errorf("%v, %v", w, err)
	}
	if _, err := BalancedWeights([]int{0, 2}, []string{"a", "shirt", "c"}); err == nil || !strings.Contains(err.Error(), "class shirt has no image") {
		t.Errorf("a class without images: %v", err)
	}
	ds := someImages(t, data.Train, 30)
	images := tensor.New(2, 1, 28, 28)
	nn.NewSource(1, "x").Uniform(images, 1)
	loss := func(weights []float32, labels ...int64) float64 {
		v, _, err := trainerOf(t, plainNet(), ds, nil, Options{Batch: 30, ClassWeights: weights}).Step(images, tensor.FromInts(labels, 2), 0)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	one, other := loss(nil, 1, 1), loss(nil, 2, 2)
	both := loss(nil, 1, 2)
	_ = other
	weights := []float32{1, 3, 1, 1, 1, 1, 1, 1, 1, 1}
	if got := loss(weights, 1, 1); math.Abs(got-one) > 1e-6 {
		t.Errorf("a batch of one class has loss %v with its weight, %v without", got, one)
	}
	// The loss of image 0 as class 1 and of image 1 as class 2, with the weights 3 to 1.
	first := loss([]float32{1, 1e6, 1e-6, 1, 1, 1, 1, 1, 1, 1}, 1, 2)
	if got, want := loss(weights, 1, 2), (3*first+(2*both-first))/4; math.Abs(got-want) > 1e-5 {
		t.Errorf("the weighted loss is %v, want %v", got, want)
	}
}

// What cannot be is named by its field.
func TestInvalidOptions(t *testing.T) {
	ds := someImages(t, data.Train, 30)
	dev, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for want, o := range map[string]Options{
		"LabelSmoothing 1":        {LabelSmoothing: 1},
		"ClipNorm -1":             {ClipNorm: -1},
		"ClipNorm NaN":            {ClipNorm: math.NaN()},
		"Accumulate -1":           {Accumulate: -1},
		"EMA 1":                   {EMA: 1},
		"Metric f1":               {Metric: "f1"},
		"Metric macro-f1":         {Metric: MacroF1}, // there is no test set
		"Patience -1":             {Patience: -1},
		"ClassWeights: weight 2":  {ClassWeights: []float32{1, 0}},
		"ClassWeights has 2":      {ClassWeights: []float32{1, 2}},
		"BackboneRate -1":         {BackboneRate: -1},
		"LayerDecay 1.5":          {LayerDecay: 1.5},
		"give one of them":        {LayerDecay: 0.5, BackboneRate: 0.5},
		"Lookahead 1":             {Lookahead: 1},
		"EMA 0.9 and Lookahead":   {EMA: 0.9, Lookahead: 0.95},
		"NormBiasRate 2":          {NormBiasRate: 2, Optimizer: optim.AdamW{}},
		`Freeze "layer9"`:         {Freeze: []string{"stem", "layer9"}},
		"leaves nothing to train": {Freeze: []string{"backbone", "8"}},
	} {
		if _, err := New(dev, normalised(), ds, nil, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: want %q, got %v", o, want, err)
		}
	}
}

// With all options together a steady step allocates nothing.
func TestSteadyStepWithEverything(t *testing.T) {
	ds := someImages(t, data.Train, 32)
	for _, p := range []engine.Precision{engine.FP32, engine.BF16} {
		tr := trainerOf(t, normalised(), ds, nil, Options{
			Batch: 32, Optimizer: optim.SGD{Momentum: 0.9}, Precision: p, EMA: 0.9, ClipNorm: 1, Accumulate: 2, LabelSmoothing: 0.1,
			ClassWeights: []float32{1, 2, 3, 1, 1, 1, 1, 1, 1, 1}, Freeze: []string{"stem"}, LayerDecay: 0.5,
		})
		x, labels := tensor.New(32, 1, 28, 28), tensor.FromInts(make([]int64, 32), 32)
		nn.NewSource(1, "x").Uniform(x, 1)
		step := func() {
			if _, _, err := tr.Step(x, labels, 0.01); err != nil {
				t.Fatal(err)
			}
		}
		step()
		step()
		if n := testing.AllocsPerRun(20, step); n != 0 {
			t.Errorf("a step in %v makes %v allocations", p, n)
		}
	}
}

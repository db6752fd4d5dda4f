package nn_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

func names(ps []nn.NamedParameter) []string {
	var s []string
	for _, p := range ps {
		s = append(s, p.Name)
	}
	return s
}

func TestNamesOfLayersAndBlocks(t *testing.T) {
	got := names(nn.Named(nn.Sequential{nn.ReLU{}, nn.NewResidual(1, 2, nn.Block{Use1x1Conv: true})}))
	want := strings.Fields(`1.conv1.weight 1.conv1.bias 1.conv2.weight 1.conv2.bias 1.conv3.weight 1.conv3.bias
		1.bn1.weight 1.bn1.bias 1.bn1.running_mean 1.bn1.running_var
		1.bn2.weight 1.bn2.bias 1.bn2.running_mean 1.bn2.running_var`)
	if !slices.Equal(got, want) {
		t.Errorf("names are %v\nwant %v", got, want)
	}
}

// Trunk is embedded, so its fields are named like fields of the outer module.
type Trunk struct{ Stem *nn.Linear }

type zoo struct {
	Trunk
	Layer1     nn.Sequential
	FCHead     *nn.Linear
	BN1        nn.BatchNorm2d // held by value
	Absent     *nn.Linear
	Renamed    *nn.Linear `nn:"classifier"`
	Hidden     *nn.Linear `nn:"-"`
	Shared     *nn.Linear // the same as FCHead
	Tied       *nn.Parameter
	HeadByName map[string]nn.Module
	Pair       [2]*nn.Linear
	Width      int
	Table      []float32
	relu       nn.ReLU
	last       *graph.Node
}

func (z *zoo) Forward(x *graph.Node) *graph.Node {
	z.last = z.relu.Forward(x)
	return z.last
}

func linear() *nn.Linear { return nn.NewLinear(2, 2, nn.Dense{NoBias: true}) }

func newZoo() *zoo {
	z := &zoo{
		Trunk: Trunk{linear()}, Layer1: nn.Sequential{nn.Tanh{}, linear()}, FCHead: linear(), BN1: *nn.NewBatchNorm2d(2),
		Renamed: linear(), Hidden: linear(), HeadByName: map[string]nn.Module{"b": linear(), "a": linear()},
		Pair: [2]*nn.Linear{nil, linear()},
	}
	z.Shared, z.Tied = z.FCHead, z.Stem.Weight
	return z
}

func TestNamesOfFields(t *testing.T) {
	z := newZoo()
	z.Forward(graph.New(graph.Eval).Input("x", tensor.Float32, 1)) // stores a node in a field
	want := []string{
		"stem.weight", "layer1.1.weight", "fc_head.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var",
		"classifier.weight", "head_by_name.a.weight", "head_by_name.b.weight", "pair.1.weight",
	}
	if got := names(nn.Named(z)); !slices.Equal(got, want) {
		t.Errorf("names are %v\nwant %v", got, want)
	}
	if z.Renamed.Weight.Name != "classifier.weight" {
		t.Errorf("the variable is called %q", z.Renamed.Weight.Name)
	}
	if got := names(nn.Buffers(z)); !slices.Equal(got, []string{"bn1.running_mean", "bn1.running_var"}) {
		t.Errorf("buffers are %v", got)
	}
	if got := len(nn.Parameters(z)); got != len(want)-2 {
		t.Errorf("%d parameters, want %d", got, len(want)-2)
	}
	if n := nn.Count(z); n != 7*4+4 {
		t.Errorf("%d numbers, want %d", n, 7*4+4)
	}
}

// inline has a layer and a parameter stored by value, and fields that are neither.
type inline struct {
	FC    nn.Linear
	Scale nn.Parameter
	Names map[int]string
	Done  chan int
}

func (m *inline) Forward(x *graph.Node) *graph.Node { return m.FC.Forward(x) }

func TestLayersAsFieldValues(t *testing.T) {
	m := &inline{FC: *linear(), Scale: nn.Parameter{Value: tensor.New(1), Trainable: true}, Names: map[int]string{1: "a"}}
	before := m.FC.Weight.Value.Clone()
	if got := names(nn.Named(m)); !slices.Equal(got, []string{"fc.weight", "scale"}) {
		t.Errorf("names are %v", got)
	}
	nn.Init(m, 3, nn.XavierUniform)
	if slices.Equal(before.Data(), m.FC.Weight.Value.Data()) {
		t.Error("Init passes over a layer held by value")
	}
	s, err := nn.Summary(m, tensor.Shape{1, 2})
	if err != nil || len(s.Rows) != 2 || s.Rows[0].Class != "inline" || s.Rows[1].Path != "fc" {
		t.Errorf("the summary is (%v)\n%v", err, s)
	}
}

type secretive struct{ conv *nn.Conv2d }

func (m *secretive) Forward(x *graph.Node) *graph.Node { return m.conv.Forward(x) }

func TestParametersBelowUnexportedFieldsPanic(t *testing.T) {
	mustPanic(t, "unexported field", func() { nn.Named(&secretive{nn.NewConv2d(1, 1, 1)}) }, "conv.weight", "export")
	if got := nn.Named(&secretive{}); len(got) != 0 {
		t.Errorf("an empty module has %v", got)
	}
}

func entries(m nn.Module) map[string]*tensor.Tensor {
	values := map[string]*tensor.Tensor{}
	for _, e := range nn.StateDict(m) {
		values[e.Name] = e.Tensor.Clone()
	}
	return values
}

func TestStateDictRoundTrip(t *testing.T) {
	a, b := nn.NewResidual(2, 3, nn.Block{Use1x1Conv: true}), nn.NewResidual(2, 3, nn.Block{Use1x1Conv: true})
	nn.Init(a, 7, nn.XavierUniform)
	a.BN2.RunningVar.Value.Fill(5)
	values := entries(a)
	values["bn1.num_batches_tracked"] = tensor.FromInts([]int64{3})
	if err := nn.LoadStateDict(b, values); err != nil {
		t.Fatal(err)
	}
	for i, e := range nn.StateDict(b) {
		want := nn.StateDict(a)[i]
		if e.Name != want.Name || !slices.Equal(e.Tensor.Data(), want.Tensor.Data()) {
			t.Errorf("%s differs after loading", e.Name)
		}
	}
	values["conv1.weight"].Fill(9)
	if b.Conv1.Weight.Value.Data()[0] == 9 {
		t.Error("LoadStateDict uses the file's memory")
	}
}

func TestStateDictErrors(t *testing.T) {
	m := nn.NewResidual(2, 2)
	nn.Init(m, 1, nn.PyTorchDefault)
	before := entries(m)
	bad := entries(m)
	for _, v := range bad {
		v.Fill(3)
	}
	delete(bad, "conv1.bias")
	bad["conv9.bias"] = tensor.New(2)
	bad["bn1.weight"] = tensor.New(3)
	bad["bn2.weight"] = tensor.FromInts([]int64{1, 2}, 2)
	err := nn.LoadStateDict(m, bad)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Residual", "1 missing (conv1.bias)", "1 unexpected (conv9.bias)",
		"bn1.weight is float32 [3] and should be float32 [2]", "bn2.weight is int64 [2]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not say %q", err, want)
		}
	}
	for name, v := range entries(m) {
		if !slices.Equal(v.Data(), before[name].Data()) {
			t.Errorf("%s changed in spite of the error", name)
		}
	}
	if err := nn.LoadStateDict(m, nil); err == nil || !strings.Contains(err.Error(), "12 missing") || !strings.Contains(err.Error(), "and 6 more") {
		t.Errorf("an empty state dict gives %v", err)
	}
}

// TakeStateDict uses the file's memory, but no two parameters share it.
func TestTakeStateDict(t *testing.T) {
	a := nn.NewResidual(3, 3)
	nn.Init(a, 7, nn.XavierUniform)
	values := entries(a)
	values["conv2.weight"] = values["conv1.weight"]
	values["bn1.num_batches_tracked"] = tensor.FromInts([]int64{3})
	b := nn.NewResidual(3, 3, nn.Block{Blank: true})
	for _, v := range b.Conv1.Weight.Value.Data() {
		if v != 0 {
			t.Fatal("a blank layer has random weights")
		}
	}
	if err := nn.TakeStateDict(b, values); err != nil {
		t.Fatal(err)
	}
	if b.Conv1.Weight.Value != values["conv1.weight"] || b.BN1.Bias.Value != values["bn1.bias"] {
		t.Error("the tensors were copied")
	}
	if got := b.Conv2.Weight.Value; got == values["conv1.weight"] || !slices.Equal(got.Data(), values["conv1.weight"].Data()) {
		t.Error("a tensor of two names is shared, or not the same")
	}
	delete(values, "conv1.weight")
	before := b.Conv2.Bias.Value
	if err := nn.TakeStateDict(b, values); err == nil || !strings.Contains(err.Error(), "1 missing (conv1.weight)") || b.Conv2.Bias.Value != before {
		t.Errorf("a tensor too few: %v", err)
	}
}

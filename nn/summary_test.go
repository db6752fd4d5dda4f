package nn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// double calls one layer twice and does not record its own call.
type double struct{ FC *nn.Linear }

func (d *double) Forward(x *graph.Node) *graph.Node {
	return d.FC.Forward(nn.ReLU{}.Forward(d.FC.Forward(x)))
}

func TestSummaryRows(t *testing.T) {
	net := nn.Sequential{
		nn.NewConv2d(1, 2, 3), nn.ReLU{}, nn.NewBatchNorm2d(2), nn.ReLU{}, nn.Flatten{},
		nn.Dropout{}, nn.Sequential{nn.Dropout{P: 0.2}, nn.Dropout{P: 0.2}, nn.NewLinear(8, 8)}, &double{nn.NewLinear(8, 8)},
	}
	s, err := nn.Summary(net, tensor.Shape{5, 1, 4, 4})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range s.Rows {
		got = append(got, fmt.Sprintf("%d %s %s %v %d %d", r.Depth, r.Path, r.Class, r.Output, r.Params, r.MACs))
	}
	want := []string{
		"0  Sequential [5, 8] 168 1320",
		"1 0 Conv2d [5, 2, 2, 2] 20 360",
		"1 1 ReLU [5, 2, 2, 2] 0 0",
		"1 2 BatchNorm2d [5, 2, 2, 2] 4 0",
		"1 3 ReLU [5, 2, 2, 2] 0 0",
		"1 4 Flatten [5, 8] 0 0",
		"1 5 Dropout [5, 8] 0 0",
		"1 6 Sequential [5, 8] 72 320",
		"2 6.0 Dropout [5, 8] 0 0",
		"2 6.1 Dropout [5, 8] 0 0",
		"2 6.2 Linear [5, 8] 72 320",
		"1 7 double [5, 8] 72 640",
		"2 7.fc Linear [5, 8] 72 320",
		"2 7.(ReLU) ReLU [5, 8] 0 0",
		"2 7.fc Linear [5, 8] 72 320",
	}
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("rows are\n%s\nwant\n%s", a, b)
	}
	if s.Params != 168 || s.Buffers != 4 || s.MACs != 1320 {
		t.Errorf("totals are %d, %d, %d", s.Params, s.Buffers, s.MACs)
	}
	if text := s.String(); !strings.Contains(text, "168 parameters, 4 buffers, 1,320 multiply-adds") ||
		!strings.Contains(text, "\n    6.1 ") {
		t.Errorf("the table is\n%s", text)
	}
}

func TestSummaryOfAWrongShape(t *testing.T) {
	net := nn.Sequential{nn.Flatten{}, nn.NewLinear(8, 8)}
	_, err := nn.Summary(net, tensor.Shape{5, 3, 3})
	if err == nil || !strings.Contains(err.Error(), "[5, 3, 3]") || !strings.Contains(err.Error(), "1.weight") {
		t.Errorf("the error is %v", err)
	}
	if m := (*tensor.Misuse)(nil); !errors.As(err, &m) {
		t.Errorf("%v is no tensor.Misuse", err)
	}
	for m, want := range map[nn.Module]string{&tower{}: "nil pointer", confused{}: "lost count"} {
		func() {
			defer func() {
				if r := recover(); !strings.Contains(fmt.Sprint(r), want) {
					t.Errorf("a mistake in a Forward passed as %v", r)
				}
			}()
			_, err := nn.Summary(m, tensor.Shape{1})
			t.Errorf("a mistake in a Forward became %v", err)
		}()
	}
}

// confused is a module whose Forward panics with a string of its own.
type confused struct{}

func (confused) Forward(*graph.Node) *graph.Node { panic("lost count") }

func TestSequentialReadsLikePyTorch(t *testing.T) {
	s := nn.Sequential{nn.NewLinear(2, 3), nn.Sequential{nn.ReLU{}}}
	want := "Sequential(\n  (0): Linear(in_features=2, out_features=3)\n  (1): Sequential(\n    (0): ReLU()\n  )\n)"
	if got := s.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// The outputs of the innermost modules are listed in order, for a graph in training mode.
func TestOutputs(t *testing.T) {
	net := nn.Sequential{nn.NewConv2d(1, 2, 3), nn.NewBatchNorm2d(2), nn.Sequential{nn.ReLU{}, nn.Flatten{}}, &double{nn.NewLinear(8, 8)}}
	g := graph.New(graph.Train)
	out := net.Forward(g.Input("x", tensor.Float32, 5, 1, 4, 4))
	var got []string
	list := nn.Outputs(net, g)
	for _, o := range list {
		got = append(got, fmt.Sprintf("%s %s %v", o.Path, o.Class, o.Node.Shape))
	}
	want := "0 Conv2d [5, 2, 2, 2]; 1 BatchNorm2d [5, 2, 2, 2]; 2.0 ReLU [5, 2, 2, 2]; 2.1 Flatten [5, 8]; 3.fc Linear [5, 8]; 3.(ReLU) ReLU [5, 8]; 3.fc Linear [5, 8]"
	if text := strings.Join(got, "; "); text != want || list[len(list)-1].Node != out {
		t.Errorf("got %s, want %s", text, want)
	}
}

func TestShallow(t *testing.T) {
	s, err := nn.Summary(nn.Sequential{nn.Sequential{nn.ReLU{}}}, tensor.Shape{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for depth, want := range []int{0, 1, 2, 3, 3} {
		if got := s.Shallow(depth); len(got.Rows) != want || len(s.Rows) != 3 {
			t.Errorf("to depth %d: %d rows of %d", depth, len(got.Rows), len(s.Rows))
		}
	}
}

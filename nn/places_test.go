package nn_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// gate weights channels by a layer of their means. It does not record its calls.
type gate struct {
	Pool nn.AdaptiveAvgPool2d
	FC   *nn.Conv2d
	Act  nn.Sigmoid
}

func newGate() *gate {
	return &gate{nn.AdaptiveAvgPool2d{H: 1, W: 1}, nn.NewConv2d(4, 4, 1), nn.Sigmoid{}}
}

func (m *gate) Forward(x *graph.Node) *graph.Node {
	return m.Act.Forward(m.FC.Forward(m.Pool.Forward(x)))
}

// excited is a block with a gate. It records its calls if records is set.
type excited struct {
	Drop    nn.Dropout
	Conv    *nn.Conv2d
	SE      *gate
	Act     nn.ReLU
	records bool
}

func newExcited(records bool) *excited {
	return &excited{nn.Dropout{}, nn.NewConv2d(4, 4, 1), newGate(), nn.ReLU{}, records}
}

func (m *excited) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	y := m.Act.Forward(m.SE.Forward(m.Conv.Forward(m.Drop.Forward(x))))
	if m.records {
		return x.Graph.Record(m, first, y)
	}
	return y
}

// reversed calls its fields in another order than they are declared, the second block twice,
// and one activation for both.
type reversed struct {
	First, Second *excited
	Act           nn.ReLU
	Unused        *excited
}

func (m *reversed) Forward(x *graph.Node) *graph.Node {
	x = m.Act.Forward(m.Second.Forward(x))
	return m.Act.Forward(m.First.Forward(m.Second.Forward(x)))
}

// siamese calls one network on its input twice, and then its head. Nothing records its call.
type siamese struct {
	Body *again
	Act  nn.ReLU
	Head *again
}

func (m *siamese) Forward(x *graph.Node) *graph.Node {
	a, b := m.Act.Forward(m.Body.Forward(x)), m.Act.Forward(m.Body.Forward(x))
	return m.Head.Forward(a.Add(b))
}

// inception calls its branches on the same input, each with an activation of its own.
type inception struct {
	Branches map[string]nn.Module
	Pool     nn.MaxPool2d
	Act      nn.ReLU
}

func (m *inception) Forward(x *graph.Node) *graph.Node {
	y := m.Branches["b"].Forward(x)
	for _, name := range []string{"a", "c"} {
		y = y.Add(m.Branches[name].Forward(x))
	}
	return m.Act.Forward(m.Pool.Forward(y))
}

// embedding calls an embedded Sequential.
type embedding struct{ nn.Sequential }

func (m *embedding) Forward(x *graph.Node) *graph.Node { return m.Sequential.Forward(x) }

// outputs returns the paths of the innermost calls of m, and checks that a summary has the same
// layers.
func outputs(t *testing.T, m nn.Module, shape ...int) string {
	t.Helper()
	g := graph.New(graph.Eval)
	m.Forward(g.Input("x", tensor.Float32, shape...))
	var got []string
	for _, o := range nn.Outputs(m, g) {
		got = append(got, o.Path)
	}
	table, err := nn.Summary(m, shape)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, r := range table.Rows {
		named[r.Path] = true
	}
	for _, path := range got {
		if !named[path] {
			t.Errorf("%s is in no row of the summary\n%v", path, table)
		}
	}
	return strings.Join(got, " ")
}

func TestPathsOfCalls(t *testing.T) {
	conv, relu := nn.NewConv2d(4, 4, 1), nn.ReLU{}
	pool, flat := nn.AdaptiveAvgPool2d{H: 1, W: 1}, nn.Flatten{}
	shared := newExcited(true)
	inner := nn.Sequential{relu, nn.NewConv2d(4, 4, 1)}
	recorded := "%[1]d.drop %[1]d.conv %[1]d.se.pool %[1]d.se.fc %[1]d.se.act %[1]d.act"
	at := func(i any) string { return strings.ReplaceAll(recorded, "%[1]d", fmt.Sprint(i)) }
	for name, c := range map[string]struct {
		m    nn.Module
		want string
	}{
		"a layer behind a gate": {
			nn.Sequential{conv, relu, newExcited(true), newExcited(false), relu, nn.Dropout{}, nn.Sigmoid{}, pool, flat, nn.NewLinear(4, 2)},
			"0 1 " + at(2) + " " + at(3) + " 4 5 6 7 8 9",
		},
		"the gate last": {
			nn.Sequential{pool, relu, nn.Sigmoid{}, nn.Dropout{}, conv, nn.Sequential{relu, nn.Sequential{nn.Dropout{}, newExcited(false)}}},
			"0 1 2 3 4 5.0 5.1.0 " + at("5.1.1"),
		},
		"dropouts around": {
			nn.Sequential{nn.Dropout{}, nn.Sequential{nn.Dropout{}, nn.Dropout{}, conv}, nn.Dropout{}, nn.Sequential{nn.Sequential{nn.Dropout{}}}, nn.Identity{}, nn.Sequential{nn.Identity{}}},
			"0 1.0 1.1 1.2 2 3.0.0 4 5.0",
		},
		"one module at two places": {
			nn.Sequential{relu, conv, relu, conv, nn.Sequential{relu, conv, shared}, shared, inner, nn.Sequential{inner}},
			"0 1 2 1 4.0 1 " + at("4.2") + " " + at("4.2") + " 6.0 6.1 6.0 6.1",
		},
		"fields in another order": {
			&reversed{newExcited(false), newExcited(false), relu, newExcited(false)},
			at("second") + " act " + at("second") + " " + at("first") + " act",
		},
		"fields that record themselves": {
			&reversed{newExcited(true), newExcited(true), relu, newExcited(true)},
			at("second") + " act " + at("second") + " " + at("first") + " act",
		},
		"one network called twice": {
			&siamese{&again{Conv1: conv, Conv2: nn.NewConv2d(4, 4, 1)}, relu, &again{Conv1: nn.NewConv2d(4, 4, 1), Conv2: nn.NewConv2d(4, 4, 1)}},
			"body.conv1 body.act body.conv2 body.act act body.conv1 body.act body.conv2 body.act act head.conv1 head.act head.conv2 head.act",
		},
		"branches in another order": {
			nn.Sequential{&inception{map[string]nn.Module{
				"a": &silent{A: nn.NewConv2d(4, 4, 1), B: relu}, "b": &silent{A: nn.NewConv2d(4, 4, 1), B: relu}, "c": nn.Sequential{nn.NewConv2d(4, 4, 1), relu},
			}, nn.MaxPool2d{Kernel: 2}, relu}, nn.MaxPool2d{Kernel: 1}, relu},
			"0.branches.b.a 0.branches.b.b 0.branches.a.a 0.branches.a.b 0.branches.c.0 0.branches.c.1 0.pool 0.act 1 2",
		},
		"embedded layers": {
			&embedding{nn.Sequential{conv, relu, newExcited(false), relu}},
			"0 1 " + at(2) + " 3",
		},
	} {
		if got := outputs(t, c.m, 2, 4, 3, 3); got != c.want {
			t.Errorf("%s: the calls are\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

package nn_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
)

// silent is a user's module of three parts, called in order. It does not record its call.
type silent struct{ A, B, C nn.Module }

func (m *silent) Forward(x *graph.Node) *graph.Node {
	for _, part := range []nn.Module{m.A, m.B, m.C} {
		if part != nil {
			x = part.Forward(x)
		}
	}
	return x
}

// recorded is silent with a record of its call.
type recorded struct{ silent }

func (m *recorded) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	return x.Graph.Record(m, first, m.silent.Forward(x))
}

// squeezed is a user's module whose layers are stored by value or in a slice, with a layer at
// the end that others have, too. It does not record its call.
type squeezed struct {
	Pool nn.AdaptiveAvgPool2d
	Fcs  []*nn.Conv2d
	Act  nn.ReLU
	Gate nn.Sigmoid
}

func (m *squeezed) Forward(x *graph.Node) *graph.Node {
	y := m.Act.Forward(m.Fcs[0].Forward(m.Pool.Forward(x)))
	return x.Mul(m.Gate.Forward(m.Fcs[1].Forward(y)))
}

// again calls its activation twice, as the blocks of ResNet do, and has one that it never
// calls. It does not record its call.
type again struct {
	Skip  nn.Sigmoid
	Conv1 *nn.Conv2d
	Act   nn.ReLU
	Conv2 *nn.Conv2d
}

func (m *again) Forward(x *graph.Node) *graph.Node {
	return m.Act.Forward(m.Conv2.Forward(m.Act.Forward(m.Conv1.Forward(x))))
}

// grower makes random modules and knows the paths of their calls.
type grower struct{ r *rand.Rand }

// module returns a module that keeps the shape [N, 4, H, W], and the paths of its innermost
// calls below path.
func (g grower) module(path string, depth int) (nn.Module, []string) {
	leaf := depth == 0 || g.r.IntN(3) == 0
	if leaf {
		switch g.r.IntN(9) {
		case 0:
			return nn.ReLU{}, []string{path}
		case 1:
			return nn.Sigmoid{}, []string{path}
		case 2:
			return nn.Dropout{}, []string{path}
		case 3:
			return nn.Identity{}, []string{path}
		case 4:
			return nn.NewBatchNorm2d(4), []string{path}
		case 5:
			m := &squeezed{Fcs: []*nn.Conv2d{nn.NewConv2d(4, 4, 1), nn.NewConv2d(4, 4, 1)}}
			return m, []string{path + ".pool", path + ".fcs.0", path + ".act", path + ".fcs.1", path + ".gate"}
		case 6:
			m := &again{Conv1: nn.NewConv2d(4, 4, 1), Conv2: nn.NewConv2d(4, 4, 1)}
			return m, []string{path + ".conv1", path + ".act", path + ".conv2", path + ".act"}
		}
		return nn.NewConv2d(4, 4, 1), []string{path}
	}
	at := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	var paths []string
	grow := func(name string) nn.Module {
		m, below := g.module(at(name), depth-1)
		paths = append(paths, below...)
		return m
	}
	switch g.r.IntN(4) {
	case 0:
		return &silent{grow("a"), grow("b"), grow("c")}, paths
	case 1:
		return &recorded{silent{A: grow("a"), B: grow("b")}}, paths
	}
	var s nn.Sequential
	for i := range 1 + g.r.IntN(4) {
		s = append(s, grow(fmt.Sprint(i)))
	}
	return s, paths
}

// Modules of every kind, nested at random with the record of a call or without, are named by
// their places, whatever the outermost module is.
func TestPathsOfRandomNets(t *testing.T) {
	for seed := range uint64(1500) {
		g := grower{rand.New(rand.NewPCG(seed, 7))}
		m, paths := g.module("", 4)
		if len(paths) == 1 {
			continue // a layer alone
		}
		want := strings.Join(paths, " ")
		if got := outputs(t, m, 2, 4, 3, 3); got != strings.TrimPrefix(strings.ReplaceAll(want, " .", " "), ".") {
			t.Errorf("seed %d: the calls are\n%s\nwant\n%s", seed, got, want)
		}
	}
}

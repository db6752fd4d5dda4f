package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// If an input was never fed, Run returns an error that names it and computes nothing. Run
// itself feeds the key of dropout. The check costs later runs no allocation.
func TestRunWithoutAnInput(t *testing.T) {
	m := small()
	store := engine.NewStore(device(t, 2))
	s := trainStep(t, m, store, 4, false)
	images, labels := batchOf(4, 1)
	feed := func(n *graph.Node, v *tensor.Tensor) {
		t.Helper()
		if err := s.program.Feed(n, v); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(names ...string) {
		t.Helper()
		err := s.program.Run(1)
		if err == nil {
			t.Fatal("Run without inputs succeeded")
		}
		for _, name := range []string{"images [4, 3, 8, 8]", "labels [4]"} {
			if strings.Contains(err.Error(), name) != slices.Contains(names, name) {
				t.Errorf("the error is %v, and should name %v", err, names)
			}
		}
		if _, ok := s.program.Train(1, []engine.Pass{{Updater: optim.SGD{}, LR: 0.1}}, []*graph.Node{s.loss}, make([]float32, 1), nil); ok {
			t.Error("Train made a step without inputs")
		}
	}
	refused("images [4, 3, 8, 8]", "labels [4]")
	if err := s.program.Feed(s.images, tensor.New(3, 3, 8, 8)); err == nil {
		t.Error("Feed accepted another shape")
	}
	feed(s.labels, labels)
	refused("images [4, 3, 8, 8]")
	feed(s.images, images)
	if err := s.program.Run(1); err != nil {
		t.Fatal(err)
	}
	if allocated := testing.AllocsPerRun(10, func() {
		feed(s.images, images)
		if err := s.program.Run(1); err != nil {
			t.Fatal(err)
		}
	}); allocated != 0 {
		t.Errorf("a run allocates %v times", allocated)
	}
}

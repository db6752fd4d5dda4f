package exchange

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/residual-ml/residual/tensor"
)

// quantisedTest is a network that ONNX Runtime has quantised, as quantised_graphs.py writes it.
type quantisedTest struct {
	nodeTest
	Integers realNumbers // the output that ONNX Runtime computes in integers
	Step     float64     // the difference of two neighbouring logits
}

func quantisedGraphs(t testing.TB) (all map[string]quantisedTest) {
	t.Helper()
	b, err := os.ReadFile("testdata/quantised_graphs.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// steps returns the largest difference of two outputs, in steps.
func steps(y, want []float32, step float64) (most float64) {
	if len(y) != len(want) {
		return math.Inf(1)
	}
	for i := range want {
		if off := math.Abs(float64(y[i]-want[i])) / step; !(off <= most) {
			most = off
		}
	}
	return most
}

// Networks that ONNX Runtime has quantised give its logits within one step.
func TestQuantisedGraphs(t *testing.T) {
	for name, c := range quantisedGraphs(t) {
		if c.Output == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			net, err := Import(c.model(t, name))
			if err != nil {
				t.Fatal(err)
			}
			y := call(t, net, tensor.FromSlice(c.Images, c.Shape...))
			if off := steps(y.Data(), c.Output, c.Step); !(off <= 1.01) {
				t.Errorf("differs by %.2f steps from the graph computed in floats", off)
			}
			if off := steps(y.Data(), c.Integers, c.Step); !(off <= 1.01) {
				t.Errorf("differs by %.2f steps from the graph computed in integers", off)
			}
			t.Logf("%.3f steps", steps(y.Data(), c.Output, c.Step))
		})
	}
}

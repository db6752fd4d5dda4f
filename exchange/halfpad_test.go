package exchange_test

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Nets whose shortcuts add zeros on both sides, or at the end, give PyTorch's logits.
func TestZerosOfShortcuts(t *testing.T) {
	text, err := os.ReadFile("testdata/half_padded.json")
	if err != nil {
		t.Fatal(err)
	}
	var nets []struct {
		Net        string
		Both, Last []float64
		Tensors    [][4]json.RawMessage
	}
	if err := json.Unmarshal(text, &nets); err != nil {
		t.Fatal(err)
	}
	wave := func(shape tensor.Shape, number int, base, scale float64) *tensor.Tensor {
		v := tensor.New(shape...)
		for i := range v.Data() {
			v.Data()[i] = float32(base + scale*math.Sin(0.37*float64(i+1)+float64(number)))
		}
		return v
	}
	for _, n := range nets {
		var state []tensor.Named
		for i, entry := range n.Tensors {
			var name string
			var shape tensor.Shape
			var base, scale float64
			for j, to := range []any{&name, &shape, &base, &scale} {
				if err := json.Unmarshal(entry[j], to); err != nil {
					t.Fatal(err)
				}
			}
			state = append(state, tensor.Named{Name: name, Tensor: wave(shape, i+1, base, scale)})
		}
		images := wave(tensor.Shape{2, 3, 32, 32}, 0, 0, 1)
		for head, rename := range map[string]func(string) string{"fc": same, "linear": func(name string) string { return strings.Replace(name, "fc.", "linear.", 1) }} {
			path := foreign(t, state, rename)
			for zeros, want := range map[string][]float64{"": n.Last, exchange.ZerosLast: n.Last, exchange.ZerosBoth: n.Both} {
				m, _, notes, err := exchange.FromWeightsAt(path, exchange.ModelConfig{Model: n.Net, Zeros: zeros})
				if err != nil {
					t.Fatal(err)
				}
				if said := strings.Contains(strings.Join(notes, "\n"), "ModelConfig.Zeros both"); said != (zeros == "") {
					t.Errorf("%s, zeros %q: notes %q", n.Net, zeros, notes)
				}
				got := logits(t, m, images)
				for i, w := range want {
					if math.Abs(float64(got[i])-w) > 1e-4*20 {
						t.Fatalf("%s, head %s, zeros %q: logit %d is %v, want %v", n.Net, head, zeros, i, got[i], w)
					}
				}
			}
		}
	}
	_, plain := net(t, "cifar-plain8", models.Config{})
	path := foreign(t, nn.StateDict(plain), same)
	for want, c := range map[string]exchange.ModelConfig{
		"no shortcuts that add channels":     {Model: "cifar-plain8", Zeros: exchange.ZerosBoth},
		`said to be "middle"`:                {Model: "cifar-resnet8", Zeros: "middle"},
		"say which with Model, and with Zer": {},
	} {
		if _, _, _, err := exchange.FromWeightsAt(path, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func logits(t *testing.T, m nn.Module, x *tensor.Tensor) []float32 {
	t.Helper()
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	y, err := engine.Call(dev, graph.Eval, m.Forward, x)
	if err != nil {
		t.Fatal(err)
	}
	return y.Data()
}

package forward_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

func device(t *testing.T) engine.Device {
	t.Helper()
	d, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// A runner that drops compiled shapes and compiles them again gives the same numbers.
func TestRunnerOfManyShapes(t *testing.T) {
	m, err := models.New("d2l-bnlenet", models.Config{Channels: 1, Classes: 10})
	if err != nil {
		t.Fatal(err)
	}
	nn.Init(m, 7, nn.XavierUniform)
	r := forward.NewRunner(m, engine.NewStore(device(t)), engine.FP32)
	x := tensor.New(7, 1, 28, 28)
	nn.NewSource(3, "x").Uniform(x, 1)
	first := map[int][]float32{}
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 1, 2, 7} {
		y, err := r.Logits(tensor.FromSlice(x.Data()[:n*784], n, 1, 28, 28))
		if err != nil {
			t.Fatal(err)
		}
		if old := first[n]; old != nil && !slices.Equal(old, y.Data()) {
			t.Errorf("batch of %d: %v, then %v", n, old, y.Data())
		}
		first[n] = slices.Clone(y.Data())
		for i, v := range first[1] {
			if math.Abs(float64(v-y.Data()[i])) > 1e-4 {
				t.Fatalf("image 0 in a batch of %d has logit %v, alone %v", n, y.Data()[i], v)
			}
		}
	}
	if _, err := r.Logits(tensor.New(2, 1, 20, 20)); err == nil || !strings.Contains(err.Error(), "[2, 1, 20, 20]") {
		t.Errorf("images of another size give %v", err)
	}
	if _, err := r.Logits(tensor.New(2, 784)); err == nil {
		t.Error("flat images were accepted")
	}
	if mem := r.Memory(); mem.Arena <= 0 || mem.Variables < 4*44878 {
		t.Errorf("memory %+v", mem)
	}
}

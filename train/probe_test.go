package train_test

import (
	"context"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/residual-ml/residual/train"
)

// The norm of the first layer's gradient is the length of the first step divided by the
// learning rate, and computing it changes no bit of a training.
func TestGradientNorm(t *testing.T) {
	c := brief(t.TempDir(), "fp32")
	c.Epochs, c.Batch, c.TrainSize, c.Momentum, c.Schedule = 1, 64, 64, 0, "constant" // one step
	c.GradientNorm = true
	var norm float64
	probed, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{OnEpoch: func(e train.Epoch) { norm = e.GradientNorm }})
	if err != nil {
		t.Fatal(err)
	}
	c.GradientNorm = false
	unprobed, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{OnEpoch: func(e train.Epoch) {
		if !math.IsNaN(e.GradientNorm) {
			t.Errorf("a norm of %v although GradientNorm is not set", e.GradientNorm)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	after := values(t, probed.Last)
	for name, v := range values(t, unprobed.Last) {
		if !slices.Equal(v.Data(), after[name].Data()) {
			t.Errorf("%s differs with the norm", name)
		}
	}
	// The difference between the values after two steps gives the gradient of the second.
	c.Weights, c.GradientNorm, c.Out = unprobed.Last, true, t.TempDir()
	var second float64
	next, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{OnEpoch: func(e train.Epoch) { second = e.GradientNorm }})
	if err != nil {
		t.Fatal(err)
	}
	var first string
	for name := range after {
		if strings.HasSuffix(name, "0.weight") && (first == "" || name < first) {
			first = name
		}
	}
	moved := 0.0
	for i, v := range values(t, next.Last)[first].Data() {
		d := float64(v-after[first].Data()[i]) / float64(c.LR)
		moved += d * d
	}
	if got := math.Sqrt(moved); math.Abs(got-second) > 1e-4*second || !(norm > 0) || norm == second {
		t.Errorf("%s moved by %v rates, and its gradient is %v (before %v)", first, got, second, norm)
	}
	rows, err := csv.NewReader(strings.NewReader(read(t, filepath.Join(next.Dir, "metrics.csv")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.Index(rows[0], "grad_norm")
	if v, err := strconv.ParseFloat(rows[len(rows)-1][max(at, 0)], 64); at < 0 || err != nil || v != second {
		t.Errorf("the metrics say %v (%v), the callback %v", v, err, second)
	}
}

// A training from a file starts with its values, and an error says what does not fit.
func TestWeights(t *testing.T) {
	root := t.TempDir()
	c := brief(root, "fp32")
	c.Epochs = 1
	s, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	c.Weights, c.LR, c.Schedule = s.Last, 1e-30, "constant"
	again, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	got := values(t, again.Last)
	for name, v := range values(t, s.Last) {
		if !strings.Contains(name, "running") && !slices.Equal(v.Data(), got[name].Data()) {
			t.Errorf("%s does not start from the file", name)
		}
	}
	c.Model, c.Resize = "cifar-resnet8", 14
	if _, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), "not the weights of cifar-resnet8: 35 missing (conv1.weight [16, 1, 3, 3]") {
		t.Errorf("another model: %v", err)
	}
	c.Weights = filepath.Join(root, "none.safetensors")
	if _, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), "(Weights)") {
		t.Errorf("no file: %v", err)
	}
}

// RunIn makes the folder, and leaves none if the training does not begin.
func TestRunIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plain-8")
	c := brief("", "fp32")
	c.Epochs, c.Weights = 1, "none.safetensors"
	if _, err := train.RunIn(context.Background(), device(t, 0), dir, c, train.Callbacks{}); err == nil {
		t.Fatal("a training began without its first weights")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was left")
	}
	c.Weights = ""
	s, err := train.RunIn(context.Background(), device(t, 0), dir, c, train.Callbacks{})
	if err != nil || s.Dir != dir || s.State != filepath.Join(dir, "state.safetensors") {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := train.RunIn(context.Background(), device(t, 0), dir, c, train.Callbacks{}); err == nil {
		t.Error("an existing folder was used")
	}
}

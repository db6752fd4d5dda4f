// Package modelstest reads the traces of PyTorch in models/testdata, for tests that train the
// same models on the same batch.
package modelstest

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Trace is the result of PyTorch for one model and one batch. The script testdata/trace.py
// documents it.
type Trace struct {
	Model      string       `json:"model"`
	Torch      string       `json:"torch"` // version
	Seed       uint64       `json:"seed"`
	LR         float64      `json:"lr"`
	Input      tensor.Shape `json:"input"`
	Labels     []int64      `json:"labels"`
	Parameters []struct {
		Name   string       `json:"name"`
		Shape  tensor.Shape `json:"shape"`
		Places []int        `json:"places"` // indices of the elements in Facts.At
	} `json:"parameters"`
	Float64  Run `json:"float64"`
	Float32  Run `json:"float32"`
	BFloat16 Run `json:"bfloat16"` // mixed precision, by torch.autocast
}

// Run is a computation in one precision: an evaluation with the initial weights, then steps of
// plain SGD on the batch.
type Run struct {
	EvalLogits  [][]float64      `json:"eval_logits"`
	TrainLogits [][]float64      `json:"train_logits"` // of step 1
	Losses      []float64        `json:"losses"`       // of every step, before its update
	Gradients   map[string]Facts `json:"gradients"`    // of step 1
	Final       map[string]Facts `json:"final"`        // parameters and buffers after the last step
}

// Facts describe a tensor.
type Facts struct {
	L2  float64   `json:"l2"`
	Sum float64   `json:"sum"`
	Max float64   `json:"max"` // largest magnitude
	At  []float64 `json:"at"`
}

// Read reads a trace, such as "../models/testdata/d2l-bnlenet.json".
func Read(path string) (*Trace, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t := new(Trace)
	if err := json.Unmarshal(text, t); err != nil {
		return nil, fmt.Errorf("%s: %w; make it again by testdata/trace.py", path, err)
	}
	return t, nil
}

// Build makes the model with the weights of the trace.
func (t *Trace) Build() (nn.Module, error) {
	m, err := models.New(t.Model, models.Config{})
	if err != nil {
		return nil, err
	}
	values := map[string]*tensor.Tensor{}
	for _, p := range t.Parameters {
		values[p.Name] = value(t.Seed, p.Name, p.Shape)
	}
	return m, nn.LoadStateDict(m, values)
}

// value returns the initial value of a parameter or buffer by the script's formula.
func value(seed uint64, name string, shape tensor.Shape) *tensor.Tensor {
	base, scale := 0.0, 0.1
	switch field := name[strings.LastIndexByte(name, '.')+1:]; {
	case len(shape) > 1:
		scale = 1 / math.Sqrt(float64(shape[1:].Numel()))
	case field == "weight":
		base, scale = 1, 0.2
	case field == "running_var":
		base, scale = 1, 0.5
	}
	v, source := tensor.New(shape...), nn.NewSource(seed, name)
	for i := range v.Data() {
		v.Data()[i] = float32(base + float64(scale*(2*source.Float64()-1)))
	}
	return v
}

// Images returns the batch.
func (t *Trace) Images() *tensor.Tensor {
	x, source := tensor.New(t.Input...), nn.NewSource(t.Seed, "images")
	for i := range x.Data() {
		x.Data()[i] = float32(source.Float64())
	}
	return x
}

// Places returns the indices of the elements of the named tensor that Facts.At contains.
func (t *Trace) Places(name string) []int {
	for _, p := range t.Parameters {
		if p.Name == name {
			return p.Places
		}
	}
	return nil
}

// Compare returns the distance of the gradient, parameter or buffer called name from the facts
// in one of the trace's maps; see Distance.
func Compare[T float32 | float64](t *Trace, facts map[string]Facts, name string, got []T) (float64, error) {
	f, sum := Facts{}, 0.0
	for _, v := range got {
		sum += float64(v) * float64(v)
	}
	f.L2 = math.Sqrt(sum)
	for _, p := range t.Places(name) {
		if p >= len(got) {
			return 0, fmt.Errorf("%s has %d elements and no element %d", name, len(got), p)
		}
		f.At = append(f.At, float64(got[p]))
	}
	return Distance(t, facts, name, f, len(got))
}

// Distance returns the distance between the facts of n elements called name and those in one
// of the trace's maps. It is the larger of the relative error of the norm, and the error of the
// elements relative to the largest one. For a tensor that is zero apart from rounding, such as
// the gradient of a bias before a batch norm, errors are relative to the largest element of the
// whole map. The distance of NaN is infinite.
func Distance(t *Trace, facts map[string]Facts, name string, got Facts, n int) (float64, error) {
	want, ok := facts[name]
	if !ok || len(got.At) != len(want.At) {
		return 0, fmt.Errorf("the trace of %s has no entry for %s", t.Model, name)
	}
	largest := 0.0
	for _, f := range facts {
		largest = max(largest, f.Max)
	}
	return distance(want, got, n, largest), nil
}

func distance(want, got Facts, n int, largest float64) float64 {
	length, scale := want.L2, want.Max
	if scale < 1e-9*largest {
		length, scale = largest*math.Sqrt(float64(n)), largest
	}
	worst := math.Abs(got.L2-want.L2) / length
	for i, v := range got.At {
		worst = max(worst, math.Abs(v-want.At[i])/scale) // NaN stays NaN
	}
	if math.IsNaN(worst) {
		return math.Inf(1)
	}
	return worst
}

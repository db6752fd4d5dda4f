package quant

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Calibration says how the ranges of a scheme's activations were found.
type Calibration struct {
	Method Method `json:"method,omitempty"`
	Images int    `json:"images,omitempty"` // images that were observed
	Data   string `json:"data,omitempty"`   // where they came from
}

// metadataKey is the key of a scheme in a model file's metadata.
const metadataKey = "residual.quantization"

// stored is what the metadata says. The scales are tensors.
type stored struct {
	Weights     string      `json:"weights"` // the type of the weights of layers
	Activations string      `json:"activations"`
	Layers      []string    `json:"layers"`
	Calibration Calibration `json:"calibration"`
}

// SaveModel is checkpoint.SaveModel for the state dict of m. Of a Net it writes a quantised file:
//
//   - a quantised weight, such as layer1.0.conv1.weight, as I8: its integers;
//   - layer1.0.conv1.weight_scale, the scale of every output channel;
//   - layer1.0.conv1.input_scale, and for a shortcut output_scale and output_zero_point, or for the
//     other term of a block's sum sum_scale and sum_zero_point;
//   - the other weights of convolutions and linear layers as BF16, in which they are multiplied;
//   - all other parameters and buffers as F32.
//
// The metadata lists the layers.
func SaveModel(path string, info checkpoint.Model, m nn.Module) error {
	n, ok := m.(*Net)
	if !ok {
		return checkpoint.SaveModel(path, info, nn.StateDict(m))
	}
	if err := n.Scheme.Check(n.Module); err != nil {
		return err
	}
	state, types := n.state()
	about, err := number.Marshal(stored{"int8", "uint8", sortedNames(n.Scheme.Layers), n.Calibration})
	if err != nil {
		return err
	}
	return checkpoint.SaveModelAs(path, info, state, types, map[string]string{metadataKey: string(about)})
}

// state returns the tensors of a quantised file and the types in which they are stored.
func (n *Net) state() (state []tensor.Named, types map[string]string) {
	types = map[string]string{}
	for _, e := range nn.StateDict(n.Module) {
		l, ok := n.Scheme.Layers[e.Name]
		if !ok {
			state = append(state, e)
			if s := e.Tensor.Shape(); len(s) > 1 && e.Tensor.DType() == tensor.Float32 {
				types[e.Name] = "BF16"
			}
			continue
		}
		types[e.Name] = "I8"
		state = append(append(state, tensor.Named{Name: e.Name, Tensor: integers(e.Tensor, l.Weight)}), l.tensors(e.Name)...)
	}
	return state, types
}

// tensors returns the scales of the layer with a weight of this name.
func (l Layer) tensors(weight string) []tensor.Named {
	all := []tensor.Named{
		{Name: scaleOf(weight, "weight"), Tensor: tensor.FromSlice(slices.Clone(l.Weight), len(l.Weight))},
		{Name: scaleOf(weight, "input"), Tensor: tensor.FromSlice([]float32{l.Input.Scale})},
	}
	for what, o := range l.outputs() {
		if *o == nil {
			continue
		}
		all = append(all,
			tensor.Named{Name: scaleOf(weight, what), Tensor: tensor.FromSlice([]float32{(*o).Scale})},
			tensor.Named{Name: zeroOf(weight, what), Tensor: tensor.FromInts([]int64{int64((*o).Zero)})})
	}
	return all
}

// beside returns the name of a tensor beside a weight: layer1.conv.weight becomes
// layer1.conv.NAME.
func beside(weight, name string) string {
	if w, ok := strings.CutSuffix(weight, "weight"); ok {
		return w + name
	}
	return weight + "_" + name
}

func scaleOf(weight, what string) string { return beside(weight, what+"_scale") }
func zeroOf(weight, what string) string  { return beside(weight, what+"_zero_point") }

// outputs visits the grids of the layer's output by their names in a file, in their order there.
func (l *Layer) outputs() iter.Seq2[string, **Grid] {
	return func(yield func(string, **Grid) bool) {
		_ = yield("output", &l.Output) && yield("sum", &l.Sum)
	}
}

// integers returns the integers of a weight.
func integers(weight *tensor.Tensor, scales []float32) *tensor.Tensor {
	op := graph.Int8(scales...)
	q := make([]int64, weight.Numel())
	channel := op.Channel(weight.Shape(), weight.Shape().Strides())
	for i, x := range weight.Data() {
		q[i] = int64(op.Integer(float64(x), channel(i)))
	}
	return tensor.FromInts(q, weight.Shape()...)
}

// Load finds the scheme of a quantised file in its tensors and metadata, and turns values into the
// state dict of the net: it replaces the integers of weights by the numbers that they stand for,
// and removes the scales. The scheme is nil if the file is not quantised.
func Load(values map[string]*tensor.Tensor, metadata map[string]string) (*Scheme, Calibration, error) {
	about, err := storedIn(metadata)
	if about == nil || err != nil {
		return nil, Calibration{}, err
	}
	if about.Weights != "int8" || about.Activations != "uint8" {
		return nil, Calibration{}, fmt.Errorf("is quantised to weights of type %q and activations of type %q, and this version reads only int8 and uint8", about.Weights, about.Activations)
	}
	s := &Scheme{Layers: map[string]Layer{}}
	for _, name := range about.Layers {
		if _, twice := s.Layers[name]; twice {
			return nil, Calibration{}, fmt.Errorf("its quantisation lists %s twice; %s", name, damaged)
		}
		l, err := take(values, name)
		if err != nil {
			return nil, Calibration{}, fmt.Errorf("quantised layer %s: %w; %s", name, err, damaged)
		}
		s.Layers[name] = l
	}
	return s, about.Calibration, nil
}

const damaged = "quantise the original model again"

// storedIn returns what a file's metadata says; nil if it is not quantised.
func storedIn(metadata map[string]string) (*stored, error) {
	text, ok := metadata[metadataKey]
	if !ok {
		return nil, nil
	}
	about := new(stored)
	if err := json.Unmarshal([]byte(text), about); err != nil {
		return nil, fmt.Errorf("its quantisation cannot be read (%w); %s", err, damaged)
	}
	return about, nil
}

// Scales lists the names that the scales of a quantised file may have. They are no parameters of
// the net.
func Scales(metadata map[string]string) (names []string, err error) {
	about, err := storedIn(metadata)
	if about == nil || err != nil {
		return nil, err
	}
	for _, weight := range about.Layers {
		names = append(names, scaleOf(weight, "weight"), scaleOf(weight, "input"))
		for what := range new(Layer).outputs() {
			names = append(names, scaleOf(weight, what), zeroOf(weight, what))
		}
	}
	return names, nil
}

// take returns a layer and removes its scales from values.
func take(values map[string]*tensor.Tensor, weight string) (l Layer, err error) {
	w := values[weight]
	if w == nil || w.DType() != tensor.Int64 || len(w.Shape()) < 2 {
		return l, errors.New("its weight is no tensor of integers")
	}
	scale, input := pop(values, scaleOf(weight, "weight")), pop(values, scaleOf(weight, "input"))
	switch {
	case !isFloat(scale) || len(scale.Shape()) != 1 || scale.Numel() != w.Shape()[0]:
		return l, fmt.Errorf("%s is not one number for each of its %d channels", scaleOf(weight, "weight"), w.Shape()[0])
	case !isFloat(input) || input.Numel() != 1:
		return l, fmt.Errorf("%s is not one number", scaleOf(weight, "input"))
	}
	l.Weight, l.Input.Scale = scale.Data(), input.Data()[0]
	for what, o := range l.outputs() {
		scale, zero := pop(values, scaleOf(weight, what)), pop(values, zeroOf(weight, what))
		if scale == nil && zero == nil {
			continue
		}
		if !isFloat(scale) || scale.Numel() != 1 || zero == nil || zero.DType() != tensor.Int64 || zero.Numel() != 1 {
			return l, fmt.Errorf("%s and %s are not one number each", scaleOf(weight, what), zeroOf(weight, what))
		}
		*o = &Grid{Scale: scale.Data()[0], Zero: int(zero.Ints()[0])}
	}
	if values[weight], err = numbers(w, l.Weight); err != nil {
		return l, err
	}
	return l, nil
}

func isFloat(t *tensor.Tensor) bool { return t != nil && t.DType() == tensor.Float32 }

func pop(values map[string]*tensor.Tensor, name string) *tensor.Tensor {
	t := values[name]
	delete(values, name)
	return t
}

// numbers returns the numbers that the integers of a weight stand for.
func numbers(q *tensor.Tensor, scales []float32) (*tensor.Tensor, error) {
	x := make([]float32, q.Numel())
	per := len(x) / max(1, len(scales))
	for i, v := range q.Ints() {
		if v < -math.MaxInt8 || v > math.MaxInt8 {
			return nil, fmt.Errorf("its weight holds %d, and must be from -127 to 127", v)
		}
		x[i] = float32(v) * scales[i/per]
	}
	return tensor.FromSlice(x, q.Shape()...), nil
}

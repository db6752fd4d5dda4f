// Package quant describes the quantisation of a trained net: which of its convolutions and linear
// layers compute with integers of 8 bits, and which numbers these integers stand for.
//
// A Scheme lists the layers by the names of their weights. It is applied while a module is
// traced, so it works for every module, also for a user's own:
//
//	g := graph.New(graph.Eval)
//	x := g.Input("images", tensor.Float32, 64, 3, 224, 224)
//	y, err := scheme.Forward(module, x)
//
// In the resulting graph a layer of the scheme reads its input and its weight through
// graph.FakeQuantize, which rounds them to integers times a scale. This graph is the
// specification. Compiled with engine.INT8 it is computed with integers: engine turns the rounded
// values into values of 8 bits. With any other precision it is computed in floating point.
//
// To make a scheme, trace the net without one and call Layers and Values. Layers lists what can be
// quantised. Values lists the activations that have to be observed for it: run the net on
// images, choose a Grid for each value, and call Scheme.Set. WeightScales returns the scales of
// a weight by its largest magnitudes. A Scheme is plain data that encoding/json reads and
// writes.
//
// Weights are symmetric integers from -127 to 127 with one scale for each output channel.
// Activations are integers from 0 to 255 with one scale. A layer is only quantised if its input is
// not negative, as behind a ReLU, so that 0 stands for 0. Once a
// layer has read a value, other operations read the rounded value, too: the sum of a residual
// block adds the block's input as the block's layers read it. If the shortcut is a layer
// itself, its output may be quantised with a zero point.
package quant

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Grid says which numbers the integers 0 to 255 stand for: integer q is (q - Zero)·Scale.
type Grid struct {
	Scale float32 `json:"scale"`
	Zero  int     `json:"zero,omitempty"`
}

// GridOf returns the grid whose integers cover the numbers from low to high and have one for 0.
// It has the zero point 0 if low is not negative. A range without a number other than 0 gets the
// scale 1.
func GridOf(low, high float32) Grid {
	low, high = min(low, 0), max(high, 0)
	scale := float32((float64(high) - float64(low)) / math.MaxUint8)
	if !positive(scale) {
		return Grid{Scale: 1}
	}
	return Grid{Scale: scale, Zero: int(math.RoundToEven(-float64(low) / float64(scale)))}
}

// Op returns the operation that rounds to the grid.
func (g Grid) Op() graph.FakeQuantize { return graph.Uint8(g.Scale, g.Zero) }

// Layer is a quantised convolution or linear layer.
type Layer struct {
	Weight []float32 `json:"weight,omitempty"` // scale of the weight of every output channel
	Input  Grid      `json:"input"`            // of its input; the Zero is 0
	Output *Grid     `json:"output,omitempty"` // of its output, if that is the shortcut of a residual block; nil leaves it in floating point
	Sum    *Grid     `json:"sum,omitempty"`    // of its output, if that is the other term of a block's sum; it is not rounded here, only in exported graphs
}

// Scheme is the quantisation of one net. The zero value quantises nothing.
type Scheme struct {
	Layers map[string]Layer `json:"layers"` // by the name of the weight, such as layer1.0.conv1.weight
}

// Without returns a copy of s in which the named layers stay in floating point.
func (s *Scheme) Without(names ...string) *Scheme {
	out := &Scheme{Layers: make(map[string]Layer, len(s.Layers))}
	for name, l := range s.Layers {
		if !slices.Contains(names, name) {
			out.Layers[name] = l
		}
	}
	return out
}

// Check returns an error if s does not fit the parameters of m. The error names the layers.
func (s *Scheme) Check(m nn.Module) error {
	weights := map[string]*graph.Variable{}
	for _, p := range nn.Named(m) {
		weights[p.Name] = p.Variable
	}
	var wrong []string
	for _, name := range sortedNames(s.Layers) {
		if why := s.Layers[name].misfit(weights[name]); why != "" {
			wrong = append(wrong, name+" "+why)
		}
	}
	if len(wrong) > 0 {
		const most = 6
		more := ""
		if n := len(wrong) - most; n > 0 {
			more = fmt.Sprintf("; and %d more", n)
		}
		return fmt.Errorf("the quantisation scheme does not fit %s: %s%s; quantise this model again",
			nn.Class(m), strings.Join(wrong[:min(len(wrong), most)], "; "), more)
	}
	return nil
}

// misfit says why the layer does not fit a weight, or returns "".
func (l Layer) misfit(weight *graph.Variable) string {
	if weight == nil {
		return "is no parameter of it"
	}
	s := weight.Value.Shape()
	if len(s) != 2 && len(s) != 4 {
		return fmt.Sprintf("of shape %v is no weight of a convolution or linear layer", s)
	}
	if len(l.Weight) != s[0] {
		return fmt.Sprintf("has %d scales for %d output channels", len(l.Weight), s[0])
	}
	for _, scale := range append(slices.Clone(l.Weight), l.Input.Scale) {
		if !positive(scale) {
			return fmt.Sprintf("has the scale %v, which is not a positive number", scale)
		}
	}
	if l.Input.Zero != 0 {
		return fmt.Sprintf("has an input with zero point %d, which must be 0", l.Input.Zero)
	}
	for _, o := range []*Grid{l.Output, l.Sum} {
		if o != nil && (!positive(o.Scale) || o.Zero < 0 || o.Zero > math.MaxUint8) {
			return fmt.Sprintf("has an output with scale %v and zero point %d", o.Scale, o.Zero)
		}
	}
	return ""
}

func positive(x float32) bool { return x > 0 && x <= math.MaxFloat32 }

func sortedNames(layers map[string]Layer) []string {
	names := make([]string, 0, len(layers))
	for name := range layers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// WeightScales returns, for every output channel of a weight [channels, ...], the scale with which
// its largest magnitude becomes 127. A channel of zeros gets the scale 1.
func WeightScales(weight *tensor.Tensor) []float32 {
	scales := make([]float32, weight.Shape()[0])
	n := weight.Numel() / max(1, len(scales))
	for c := range scales {
		most := float32(0)
		for _, v := range weight.Data()[c*n : (c+1)*n] {
			most = max(most, v, -v)
		}
		if scales[c] = most / math.MaxInt8; !positive(scales[c]) {
			scales[c] = 1
		}
	}
	return scales
}

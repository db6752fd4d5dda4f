package exchange

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// resizing is what Resize says of all axes.
type resizing struct {
	mode, coordinates, nearest string
	cubic                      float64
	excludeOutside             bool
}

// resize reads Resize and Upsample, axis by axis: to the nearest by taking elements, linear
// and cubic as products with a matrix of weights.
func (imp *importer) resize(n *onnx.Node, a *attributes) error {
	r := resizing{
		mode: a.text("mode", "nearest"), coordinates: a.text("coordinate_transformation_mode", "half_pixel"),
		nearest: a.text("nearest_mode", "round_prefer_floor"), cubic: a.float("cubic_coeff_a", -0.75), excludeOutside: a.int("exclude_outside", 0) != 0,
	}
	a.want("antialias", 0, 0)
	a.ignore("extrapolation_value") // of crops alone
	axes, listed := a.ints("axes"), a.floats("scales")
	if policy := a.text("keep_aspect_ratio_policy", "stretch"); policy != "stretch" {
		a.fail("keep_aspect_ratio_policy=%s is not supported, only stretch", policy)
	}
	scalesAt, sizesAt := 2, 3
	if n.Op == "Upsample" || imp.model.Opset < 11 {
		scalesAt, sizesAt = 1, -1
		r.coordinates, r.nearest = "asymmetric", "floor"
	}
	switch r.mode {
	case "bilinear": // of Upsample
		r.mode = "linear"
	case "nearest", "linear", "cubic":
	default:
		a.fail("mode=%s is not known", r.mode)
	}
	switch r.coordinates {
	case "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric":
	default:
		a.fail("coordinate_transformation_mode=%s is not supported", r.coordinates)
	}
	if err := a.done(); err != nil {
		return err
	}
	batch := imp.batch()
	imp.apply(n.String(), n.Outputs[0], imp.named(n, 4), func(in []value) value {
		if in[0].node == nil {
			panic("is not supported of constants")
		}
		x := in[0].shape()
		at := counted(len(x))
		if axes != nil {
			at = at[:0]
			for _, d := range axes {
				at = append(at, position(d, len(x)))
			}
		}
		scales, to := listed, []int64(nil)
		if scales == nil && in[scalesAt].there() && in[scalesAt].data != nil && in[scalesAt].data.Numel() > 0 {
			scales = in[scalesAt].numbers("the list of scales")
		}
		if scales == nil && sizesAt > 0 {
			to = in[sizesAt].integers("the list of sizes")
		}
		if len(scales) != len(at) && len(to) != len(at) {
			panic(fmt.Sprintf("%d scales or %d sizes for %d axes", len(scales), len(to), len(at)))
		}
		return over(asNumbers, func(in []*graph.Node) *graph.Node {
			y := in[0]
			for i, d := range at {
				size, scale := y.Shape[d], 0.0
				if scales != nil {
					scale = scales[i]
					size = int(math.Floor(min(max(float64(size)*scale, 0), mostSide*4)))
				} else if size = int(min(to[i], mostSide*4)); d == 0 && to[i] == batch {
					continue
				} else {
					scale = float64(size) / float64(y.Shape[d])
				}
				if size < 1 || !(scale > 0) {
					panic(fmt.Sprintf("to %d of %v along dimension %d", size, y.Shape, d))
				}
				y = r.along(y, d, size, scale)
			}
			return y
		})(in[:1])
	})
	return nil
}

// batch is the fixed batch of the graph's input, which stands for any; 0 where it has none.
func (imp *importer) batch() int64 {
	if d := imp.model.Graph.Inputs[0].Shape[0]; d.Size > 0 {
		return int64(d.Size)
	}
	return 0
}

// along resizes one dimension.
func (r resizing) along(x *graph.Node, d, size int, scale float64) *graph.Node {
	from := x.Shape[d]
	if size == from && scale == 1 {
		return x
	}
	limited(0, append(x.Shape[:d:d].Clone(), append([]int{size}, x.Shape[d+1:]...)...)...)
	if r.mode == "nearest" {
		index := make([]int, size)
		for i := range index {
			index[i] = min(max(int(r.rounded(r.source(i, from, size, scale))), 0), from-1)
		}
		return x.Gather(d, index...)
	}
	limited(mostMade, size, from)
	matrix := tensor.New(from, size)
	for i := range size {
		at := r.source(i, from, size, scale)
		first := int(math.Floor(at))
		weights := r.weights(at - float64(first))
		first -= len(weights)/2 - 1
		total := 0.0
		for k := range weights {
			if r.excludeOutside && (first+k < 0 || first+k >= from) {
				weights[k] = 0
			}
			total += weights[k]
		}
		for k, w := range weights {
			matrix.Data()[min(max(first+k, 0), from-1)*size+i] += float32(w / total)
		}
	}
	// The dimension goes to the end for the product, and back.
	axes := counted(len(x.Shape))
	last := len(axes) - 1
	axes[d], axes[last] = last, d
	turned := x.Transpose(axes...)
	rows := turned.Reshape(turned.Shape[:last].Numel(), from)
	to := turned.Shape.Clone()
	to[last] = size
	return rows.MatMul(value{data: matrix}.on(x.Graph)).Reshape(to...).Transpose(axes...)
}

// source returns where output i lies in the input.
func (r resizing) source(i, from, to int, scale float64) float64 {
	x := float64(i)
	switch r.coordinates {
	case "asymmetric":
		return x / scale
	case "align_corners":
		if to == 1 {
			return 0
		}
		return x * float64(from-1) / float64(to-1)
	case "pytorch_half_pixel":
		if to == 1 {
			return 0
		}
	case "half_pixel_symmetric":
		exact := float64(from) * scale
		center := float64(from) / 2
		return float64(center*(1-float64(to)/exact)) + (x+0.5)/scale - 0.5
	}
	return (x+0.5)/scale - 0.5
}

// rounded chooses the nearest element.
func (r resizing) rounded(x float64) float64 {
	switch r.nearest {
	case "floor":
		return math.Floor(x)
	case "ceil":
		return math.Ceil(x)
	case "round_prefer_ceil":
		return math.Floor(x + 0.5)
	case "round_prefer_floor":
		return math.Ceil(x - 0.5)
	}
	panic(fmt.Sprintf("nearest_mode=%s is not known", r.nearest))
}

// weights returns those of the two or four elements round a place, t behind the inner left
// one.
func (r resizing) weights(t float64) []float64 {
	if r.mode == "linear" {
		return []float64{1 - t, t}
	}
	a := r.cubic
	near := func(x float64) float64 { return float64((float64((a+2)*x)-(a+3))*x*x) + 1 }
	far := func(x float64) float64 { return float64((float64((float64(a*x)-5*a)*x)+8*a)*x) - 4*a }
	return []float64{far(1 + t), near(t), near(1 - t), far(2 - t)}
}

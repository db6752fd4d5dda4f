package exchange

import (
	"math"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// resizing holds the attributes of Resize that apply to all axes.
type resizing struct {
	mode, coordinates, nearest string
	cubic, outside             float64
	excludeOutside, antialias  bool
}

// resize reads Resize and Upsample, one axis after the other. Nearest takes elements by
// their index; linear and cubic multiply with a matrix of interpolation weights.
func (imp *importer) resize(n *onnx.Node, a *attributes) error {
	r := resizing{
		mode: a.text("mode", "nearest"), coordinates: a.text("coordinate_transformation_mode", "half_pixel"),
		nearest: a.text("nearest_mode", "round_prefer_floor"), cubic: a.float("cubic_coeff_a", -0.75), excludeOutside: a.int("exclude_outside", 0) != 0,
		antialias: a.int("antialias", 0) != 0, outside: a.float("extrapolation_value", 0),
	}
	axes, listed, policy := a.ints("axes"), a.floats("scales"), a.text("keep_aspect_ratio_policy", "stretch")
	if policy != "stretch" && policy != "not_larger" && policy != "not_smaller" {
		a.fail("keep_aspect_ratio_policy=%s is not known", policy)
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
	case "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric", "tf_crop_and_resize":
	default:
		a.fail("coordinate_transformation_mode=%s is not supported", r.coordinates)
	}
	if err := a.done(); err != nil {
		return err
	}
	batch := imp.batch()
	imp.apply(n.String(), n.Outputs[0], imp.inputNames(n, 4), func(in []value) value {
		if in[0].node == nil {
			panic(tensor.Misusef("has a constant input, which is not supported; let the exporter fold constants"))
		}
		x := in[0].shape()
		at := indices(len(x))
		if axes != nil {
			at = at[:0]
			for _, d := range axes {
				at = append(at, axisIndex(d, len(x)))
			}
		}
		scales, to := listed, []int64(nil)
		if scales == nil && in[scalesAt].present() && in[scalesAt].data != nil && in[scalesAt].data.Numel() > 0 {
			scales = in[scalesAt].numbers("the list of scales")
		}
		if scales == nil && sizesAt > 0 {
			to = in[sizesAt].integers("the list of sizes")
		}
		if len(scales) != len(at) && len(to) != len(at) {
			panic(tensor.Misusef("has %d scales or %d sizes for %d axes", len(scales), len(to), len(at)))
		}
		var crop []float64
		if r.coordinates == "tf_crop_and_resize" {
			if crop = in[1].numbers("the region"); len(crop) != 2*len(at) {
				panic(tensor.Misusef("its region has %d numbers for %d axes", len(crop), len(at)))
			}
		}
		one := commonScale(policy, x, at, to)
		return onNodes(asFloats, func(in []*graph.Node) *graph.Node {
			y := in[0]
			none, all := make([][]int, len(x)), make([]axisResize, len(x))
			for i, d := range at {
				g := axisResize{from: x[d], to: x[d], scale: 1, end: 1}
				if crop != nil {
					g.start, g.end = crop[i], crop[i+len(at)]
				}
				switch {
				case scales != nil:
					g.scale = scales[i]
					g.exact = float64(float32(x[d]) * float32(g.scale)) // ONNX's runtimes compute it in float32
					g.to = int(math.Floor(min(max(g.exact, 0), maxSide*4)))
				case one > 0:
					g.scale = one
					g.to = int(math.Floor(min(max(float64(x[d])*one, 0), maxSide*4) + 0.5))
				case d > 0 || to[i] != batch:
					g.to = int(min(to[i], maxSide*4))
					g.scale = float64(g.to) / float64(x[d])
				}
				if g.to < 1 || x[d] < 1 || !(g.scale > 0) {
					panic(tensor.Misusef("resizing dimension %d of %v to %d is not possible", d, x, g.to))
				}
				all[d] = g
			}
			if o, ok := r.upsample(x, all); ok {
				return y.Graph.Apply(o, y)
			}
			for _, d := range at {
				y, none[d] = r.along(y, d, all[d])
			}
			return fillOutside(y, none, r.outside)
		})(in[:1])
	})
	return nil
}

// upsample returns the graph.Upsample that resizes images [N, C, H, W] as r does. ok is false if
// there is none.
func (r resizing) upsample(x tensor.Shape, all []axisResize) (o graph.Upsample, ok bool) {
	if r.mode != "linear" || r.antialias || len(x) != 4 {
		return o, false
	}
	for d, g := range all {
		unused := g == axisResize{}
		switch uncropped := g.start == 0 && g.end == 1; {
		case unused && d < 2:
		case unused, !uncropped, d < 2 && (g.to != g.from || g.scale != 1):
			return o, false
		case r.coordinates == "pytorch_half_pixel" && d >= 2 && g.to == 1:
			return o, false
		}
	}
	h, w := all[2], all[3]
	checkSize(0, x[0], x[1], h.to, w.to)
	checkSize(maxIndices, h.to, w.to)
	switch r.coordinates {
	case "half_pixel", "pytorch_half_pixel":
		return graph.Upsample{H: h.to, W: w.to, Bilinear: true, ScaleH: h.scale, ScaleW: w.scale}, true
	case "align_corners":
		for _, g := range []axisResize{h, w} {
			if math.Abs(g.exact-math.Round(g.exact)) > 1e-4 {
				return o, false
			}
		}
		return graph.Upsample{H: h.to, W: w.to, Bilinear: true, AlignCorners: true}, true
	}
	return o, false
}

// commonScale returns the one scale for all axes that keep_aspect_ratio_policy asks for, or 0 if each has its own.
func commonScale(policy string, x tensor.Shape, at []int, to []int64) (scale float64) {
	if policy == "stretch" || to == nil {
		return 0
	}
	for i, d := range at {
		s := float64(to[i]) / float64(max(x[d], 1))
		if scale == 0 || policy == "not_larger" && s < scale || policy == "not_smaller" && s > scale {
			scale = s
		}
	}
	return scale
}

// fillOutside puts fill at every element for which the index of some dimension is -1.
func fillOutside(x *graph.Node, index [][]int, fill float64) *graph.Node {
	for _, list := range index {
		if list != nil {
			return x.Graph.Apply(graph.Take{Index: index, Fill: fill}, x)
		}
	}
	return x
}

// axisResize says how one dimension is resized.
type axisResize struct {
	from, to   int
	scale      float64
	exact      float64 // if the scale is given: the size before it is rounded down
	start, end float64 // the region of tf_crop_and_resize, as fractions of the dimension
}

// along resizes one dimension. none lists, for tf_crop_and_resize, the indices of the
// outputs, with -1 for those that lie outside the image; it is nil if there are none.
func (r resizing) along(x *graph.Node, d int, g axisResize) (y *graph.Node, none []int) {
	if g.to == g.from && g.scale == 1 && g.start == 0 && g.end == 1 {
		return x, nil
	}
	resized := x.Shape.Clone()
	resized[d] = g.to
	checkSize(0, resized...)
	from := g.from
	places := make([]float64, g.to)
	for i := range places {
		places[i] = r.source(i, g)
		if r.coordinates == "tf_crop_and_resize" && !(places[i] >= 0 && places[i] <= float64(from-1)) {
			if none == nil {
				none = indices(g.to)
			}
			places[i], none[i] = 0, -1
		}
	}
	if r.mode == "nearest" {
		index := make([]int, g.to)
		for i, at := range places {
			index[i] = int(min(max(r.rounded(at), 0), float64(from-1)))
		}
		return x.Gather(d, index...), none
	}
	checkSize(maxConstant, g.to, from)
	matrix := tensor.New(from, g.to)
	for i, at := range places {
		at = min(max(at, -maxSide), float64(from+maxSide))
		first := int(math.Floor(at))
		weights, before := r.weights(at-float64(first), g.scale)
		first -= before
		total := 0.0
		for k := range weights {
			if r.excludeOutside && (first+k < 0 || first+k >= from) {
				weights[k] = 0
			}
			total += weights[k]
		}
		for k, w := range weights {
			matrix.Data()[min(max(first+k, 0), from-1)*g.to+i] += float32(w / total)
		}
	}
	// Move the dimension to the end for the product, and back.
	axes := indices(len(x.Shape))
	last := len(axes) - 1
	axes[d], axes[last] = last, d
	turned := x.Transpose(axes...)
	rows := turned.Reshape(turned.Shape[:last].Numel(), from)
	to := turned.Shape.Clone()
	to[last] = g.to
	return rows.MatMul(value{data: matrix}.asNode(x.Graph)).Reshape(to...).Transpose(axes...), none
}

// source returns the coordinate of output i in the input.
func (r resizing) source(i int, g axisResize) float64 {
	x, last := float64(i), float64(g.from-1)
	switch r.coordinates {
	case "asymmetric":
		return x / g.scale
	case "align_corners":
		if math.Abs(g.exact-math.Round(g.exact)) > 1e-4 {
			panic(tensor.Misusef("align_corners with %v outputs is not supported, only with an integer: ONNX and its runtimes disagree there", g.exact))
		}
		if g.to == 1 {
			return 0
		}
		return x * last / float64(g.to-1)
	case "tf_crop_and_resize":
		if g.to == 1 {
			return (g.start + g.end) * last / 2
		}
		return float64(g.start*last) + float64(x*(g.end-g.start)*last/float64(g.to-1))
	case "pytorch_half_pixel":
		if g.to == 1 {
			return 0
		}
	case "half_pixel_symmetric":
		exact := float64(g.from) * g.scale
		center := float64(g.from) / 2
		return float64(center*(1-float64(g.to)/exact)) + (x+0.5)/g.scale - 0.5
	}
	return (x+0.5)/g.scale - 0.5
}

// rounded returns the index of the nearest element, by nearest_mode.
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
	panic(tensor.Misusef("nearest_mode=%s is not known", r.nearest))
}

// weights returns the interpolation weights of the elements around a coordinate that lies t
// to the right of its left neighbour, and how many of them come before that neighbour. With
// antialiasing the window covers all elements that are merged into one output.
func (r resizing) weights(t, scale float64) (weights []float64, before int) {
	reach, weight := 1.0, func(x float64) float64 { return max(1-x, 0) }
	if a := r.cubic; r.mode == "cubic" {
		reach = 2
		weight = func(x float64) float64 {
			switch {
			case x <= 1:
				return float64((float64((a+2)*x)-(a+3))*x*x) + 1
			case x < 2:
				return float64((float64((float64(a*x)-5*a)*x)+8*a)*x) - 4*a
			}
			return 0
		}
	}
	if scale = min(scale, 1); !r.antialias {
		scale = 1
	}
	if !(reach/scale < maxSide) {
		panic(tensor.Misusef("the scale %v is not supported", scale))
	}
	before = -int(math.Floor(-reach/scale) + 1)
	for i := -before; i < 2+before; i++ {
		weights = append(weights, weight(math.Abs(scale*(float64(i)-t))))
	}
	return weights, before
}

package exchange

import (
	"fmt"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// tile reads Tile, which repeats the input along each dimension.
func (imp *importer) tile(n *onnx.Node, a *attributes) error {
	if len(n.Inputs) != 2 {
		return fmt.Errorf("has %d inputs, not two", len(n.Inputs))
	}
	return imp.compute(n, a, func(in []value) value {
		s, times := in[0].shape(), in[1].integers("the list of repetitions")
		if len(times) != len(s) {
			panic(tensor.Misusef("has %d repetitions for the dimensions of %v", len(times), s))
		}
		to := make([]int64, len(s))
		for d, k := range times {
			if k < 0 || k > maxElements {
				panic(tensor.Misusef("%d repetitions of dimension %d are not possible", k, d))
			}
			to[d] = k * int64(s[d])
		}
		checkSize(0, to...)
		return onNodes(likeInputs, func(in []*graph.Node) *graph.Node {
			y := in[0]
			for d := range s {
				checkSize(maxIndices, to[d])
				index := make([]int, to[d])
				for i := range index {
					index[i] = i % s[d]
				}
				y = y.Gather(d, index...)
			}
			return y
		})(in[:1])
	})
}

// pad reads Pad in every mode. Zeros added after the channels become nn.PadChannels, the
// shortcut without parameters of residual networks.
func (imp *importer) pad(n *onnx.Node, a *attributes) error {
	listed, mode, fill := a.ints("pads"), a.text("mode", "constant"), a.float("value", 0)
	switch mode {
	case "constant", "reflect", "edge", "wrap":
	default:
		a.fail("mode=%s is not known", mode)
	}
	if err := a.done(); err != nil {
		return err
	}
	imp.apply(n.String(), n.Outputs[0], imp.inputNames(n, 4), func(in []value) value {
		s, pads, fill := in[0].shape(), axesOf(in, listed), fill
		if in[2].present() {
			if numbers := in[2].numbers("the value"); len(numbers) == 1 {
				fill = numbers[0]
			}
		}
		at := indices(len(s))
		if in[3].present() {
			at = at[:0]
			axes := in[3].integers("the list of axes")
			axisIndices(axes, len(s)) // panics if an axis is given twice
			for _, d := range axes {
				at = append(at, axisIndex(d, len(s)))
			}
		}
		if len(pads) != 2*len(at) {
			panic(tensor.Misusef("pads=%v for %d dimensions, which need twice as many numbers", pads, len(at)))
		}
		to := s.Clone()
		for i, d := range at {
			for _, p := range []int64{pads[i], pads[i+len(at)]} {
				if p < -maxPadding || p > maxPadding {
					panic(tensor.Misusef("pads=%v: a size is from %d to %d", pads, -maxPadding, maxPadding))
				}
				to[d] += int(p)
			}
		}
		checkSize(0, to...)
		return onNodes(likeInputs, func(in []*graph.Node) *graph.Node {
			y := in[0]
			if mode == "constant" && fill == 0 && len(s) == 4 && slices.Equal(to, tensor.Shape{s[0], max(s[1], to[1]), s[2], s[3]}) && onlyAfter(pads, at, 1) {
				return nn.PadChannels{To: to[1]}.Forward(y)
			}
			for i, d := range at {
				y = paddedBy(y, d, int(pads[i]), int(pads[i+len(at)]), mode, fill)
			}
			return y
		})(in[:1])
	})
	return nil
}

// maxPadding bounds the padding of one side; no shortcut adds as many channels.
const maxPadding = 1 << 14

// onlyAfter reports whether all pads are zero, except the one at the end of a dimension.
func onlyAfter(pads []int64, at []int, dimension int) bool {
	for i, p := range pads {
		if p != 0 && (i < len(at) || at[i-len(at)] != dimension) {
			return false
		}
	}
	return true
}

// paddedBy pads one dimension; negative numbers cut it.
func paddedBy(x *graph.Node, d, before, after int, mode string, fill float64) *graph.Node {
	size := x.Shape[d]
	if mode == "constant" {
		return x.Pad(d, before, after, fill)
	}
	if size == 0 || size+before+after < 0 {
		panic(tensor.Misusef("pads %d and %d do not suit dimension %d of %v", before, after, d, x.Shape))
	}
	index := make([]int, size+before+after)
	for i := range index {
		at := i - before
		switch period := 2 * (size - 1); {
		case mode == "edge":
			at = min(max(at, 0), size-1)
		case mode == "wrap":
			at = (at%size + size) % size
		case period == 0:
			at = 0
		default:
			if at = (at%period + period) % period; at >= size {
				at = period - at
			}
		}
		index[i] = at
	}
	return x.Gather(d, index...)
}

// depthToSpace reads DepthToSpace, which moves channels into blocks of pixels.
func (imp *importer) depthToSpace(n *onnx.Node, a *attributes) error {
	block, mode := int(a.int("blocksize", 0)), a.text("mode", "DCR")
	if mode != "DCR" && mode != "CRD" {
		a.fail("mode=%s is not known", mode)
	}
	return imp.compute(n, a, onNodes(likeInputs, func(in []*graph.Node) *graph.Node {
		s := in[0].Shape
		if len(s) != 4 || block < 1 || block > maxWindow || s[1]%(block*block) != 0 {
			panic(tensor.Misusef("blocksize=%d does not suit an input of %v", block, s))
		}
		c := s[1] / (block * block)
		if mode == "CRD" {
			return in[0].Reshape(s[0], c, block, block, s[2], s[3]).Transpose(0, 1, 4, 2, 5, 3).Reshape(s[0], c, s[2]*block, s[3]*block)
		}
		return in[0].Reshape(s[0], block, block, c, s[2], s[3]).Transpose(0, 3, 4, 1, 5, 2).Reshape(s[0], c, s[2]*block, s[3]*block)
	}))
}

// spaceToDepth reads SpaceToDepth, the inverse of DepthToSpace.
func (imp *importer) spaceToDepth(n *onnx.Node, a *attributes) error {
	block, mode := int(a.int("blocksize", 0)), a.text("mode", "DCR")
	if mode != "DCR" && mode != "CRD" {
		a.fail("mode=%s is not known", mode)
	}
	return imp.compute(n, a, onNodes(likeInputs, func(in []*graph.Node) *graph.Node {
		s := in[0].Shape
		if len(s) != 4 || block < 1 || block > maxWindow || s[2]%block != 0 || s[3]%block != 0 {
			panic(tensor.Misusef("blocksize=%d does not suit an input of %v", block, s))
		}
		h, w := s[2]/block, s[3]/block
		axes := []int{0, 3, 5, 1, 2, 4}
		if mode == "CRD" {
			axes = []int{0, 1, 3, 5, 2, 4}
		}
		return in[0].Reshape(s[0], s[1], h, block, w, block).Transpose(axes...).Reshape(s[0], s[1]*block*block, h, w)
	}))
}

package exchange

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// attributes reads the attributes of a node and remembers the first error. An attribute
// that was never asked for is an error too, since it might change what the node computes.
type attributes struct {
	node  *onnx.Node
	asked []string
	err   error
}

// fail records an error unless there is one already.
func (a *attributes) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, args...)
	}
}

// get returns the value of an attribute. ok is false if the node does not have it.
func get[T any](a *attributes, name string) (v T, ok bool) {
	a.asked = append(a.asked, name)
	for _, attr := range a.node.Attributes {
		if attr.Name != name {
			continue
		}
		if v, ok = attr.Value.(T); !ok {
			a.fail("attribute %s has another type than ONNX defines", name)
		}
		return v, ok
	}
	return v, false
}

func (a *attributes) int(name string, otherwise int64) int64 {
	if v, ok := get[int64](a, name); ok {
		return v
	}
	return otherwise
}

func (a *attributes) text(name, otherwise string) string {
	if v, ok := get[string](a, name); ok {
		return v
	}
	return otherwise
}

// float returns a float32 attribute as the decimal number that it was written as: 1e-5, not
// 9.99999974738e-06.
func (a *attributes) float(name string, otherwise float64) float64 {
	v, ok := get[float32](a, name)
	if !ok {
		return otherwise
	}
	exact, err := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
	if err != nil {
		a.fail("attribute %s is %v", name, v)
	}
	return exact
}

func (a *attributes) ints(name string) []int64 {
	v, _ := get[[]int64](a, name)
	return v
}

func (a *attributes) floats(name string) (list []float64) {
	v, _ := get[[]float32](a, name)
	for _, x := range v {
		list = append(list, float64(x))
	}
	return list
}

// want fails unless an attribute has the one value that is supported.
func (a *attributes) want(name string, value, otherwise int64) {
	if v := a.int(name, otherwise); v != value {
		a.fail("%s=%d is not supported, only %d", name, v, value)
	}
}

// ignore accepts attributes that make no difference here.
func (a *attributes) ignore(names ...string) { a.asked = append(a.asked, names...) }

// done returns the first error, also for attributes that nobody asked for.
func (a *attributes) done() error {
	for _, attr := range a.node.Attributes {
		if !slices.Contains(a.asked, attr.Name) {
			a.fail("attribute %q is not known", attr.Name)
		}
	}
	return a.err
}

// pair reads a list of two sizes, each from least to maxWindow.
func (a *attributes) pair(name string, least, otherwise int) (h, w int) {
	v := a.ints(name)
	switch {
	case v == nil:
		return otherwise, otherwise
	case len(v) != 2:
		a.fail("%s has %d sizes, where only two-dimensional windows are supported", name, len(v))
		return 1, 1
	}
	for _, size := range v {
		if size < int64(least) || size > maxWindow {
			a.fail("%s=%v: a size is from %d to %d", name, v, least, maxWindow)
			return 1, 1
		}
	}
	return int(v[0]), int(v[1])
}

// Bounds on sizes, larger than any image network needs.
const (
	maxWindow = 512     // side of a window
	maxSide   = 1 << 12 // side of an image
)

// side is a window along one side of an image.
type side struct {
	kernel, stride, dilation int
	before, after            int // padding
}

// window is the window of a convolution or pooling. If auto is SAME_UPPER or SAME_LOWER, the
// padding depends on the image: it makes ceil(size / stride) outputs, and an odd pixel of
// padding goes to the end or to the beginning. If auto is VALID, there is no padding.
type window struct {
	h, w side
	auto string
}

// window reads the attributes of a window. kernelH and kernelW are the kernel that the weight
// has; they are 0 if only kernel_shape gives it.
func (a *attributes) window(kernelH, kernelW int) (win window) {
	h, w := &win.h, &win.w
	h.kernel, w.kernel = a.pair("kernel_shape", 1, 0)
	switch {
	case h.kernel == 0 && kernelH == 0:
		a.fail("has no kernel_shape")
		h.kernel, w.kernel = 1, 1
	case h.kernel == 0:
		h.kernel, w.kernel = kernelH, kernelW
	case kernelH > 0 && (h.kernel != kernelH || w.kernel != kernelW):
		a.fail("kernel_shape=[%d %d] for a weight of %dx%d", h.kernel, w.kernel, kernelH, kernelW)
	}
	h.stride, w.stride = a.pair("strides", 1, 1)
	h.dilation, w.dilation = a.pair("dilations", 1, 1)
	pads := a.ints("pads")
	switch auto := a.text("auto_pad", "NOTSET"); auto {
	case "NOTSET", "":
		if pads == nil {
			return win
		}
	case "VALID":
		return win
	case "SAME_UPPER", "SAME_LOWER":
		win.auto = auto
		return win
	default:
		a.fail("auto_pad=%s is not known", auto)
		return win
	}
	if len(pads) != 4 {
		a.fail("pads has %d sizes, where two-dimensional windows have 4", len(pads))
		return win
	}
	for i, to := range []*int{&h.before, &w.before, &h.after, &w.after} {
		if pads[i] < 0 || pads[i] > maxSide {
			a.fail("pads=%v: a size is from 0 to %d", pads, maxSide)
			return win
		}
		*to = int(pads[i])
	}
	return win
}

// reach returns the distance from the first element of a window to its last.
func (s side) reach() int { return s.dilation * (s.kernel - 1) }

// same returns the side with the padding that makes ceil(size / stride) windows.
func (s side) same(size int, lower bool) side {
	outputs := (size + s.stride - 1) / s.stride
	total := max((outputs-1)*s.stride+s.reach()+1-size, 0)
	s.before = total / 2
	if lower {
		s.before = total - total/2
	}
	s.after = total - s.before
	return s
}

// resolved returns the window with the padding that it has on an image of h by w pixels.
func (win window) resolved(h, w int) window {
	if win.auto != "" {
		lower := win.auto == "SAME_LOWER"
		win.h, win.w, win.auto = win.h.same(h, lower), win.w.same(w, lower), ""
	}
	return win
}

// padded returns x with the window's padding around it.
func (win window) padded(x *graph.Node, fill float64) *graph.Node {
	win = win.resolved(x.Shape[2], x.Shape[3])
	return x.Pad(2, win.h.before, win.h.after, fill).Pad(3, win.w.before, win.w.after, fill)
}

// outputs returns how many windows there are along a side. With ceil, the last one may reach
// beyond the end of the padding, but it begins before it.
func (s side) outputs(size int, ceil bool) int {
	room := size + s.before + s.after - s.reach() - 1
	if room < 0 && !(ceil && room > -s.stride) {
		panic(tensor.Misusef("the window does not fit the padded image: %d of %d", s.reach()+1, size+s.before+s.after))
	}
	if !ceil {
		return room/s.stride + 1
	}
	n := (room+s.stride-1)/s.stride + 1
	if room < 0 {
		n = 1
	}
	if (n-1)*s.stride >= size+s.before {
		n--
	}
	return n
}

// transposed describes one side of a transposed convolution of size inputs: how many outputs
// it has before the padding is cut off, and how many are cut off at the beginning and end.
func (s side) transposed(size, more, to int, auto string) (full, cut, end int) {
	full = s.stride*(size-1) + s.reach() + 1
	cut, end = s.before, s.after-more
	if auto != "" && to == 0 {
		if to = size * s.stride; to > full+more {
			panic(tensor.Misusef("auto_pad=%s for a kernel of %d and a stride of %d is not supported: ONNX and its runtimes differ there; export with explicit pads", auto, s.kernel, s.stride))
		}
	}
	if to > 0 {
		total := max(full+more-to, 0)
		cut = total / 2
		if auto != "SAME_UPPER" {
			cut = total - total/2
		}
		end = full - to - cut
	}
	if full-cut-end < 1 {
		panic(tensor.Misusef("pads cut off all of the %d outputs", full))
	}
	return full, cut, end
}

package exchange

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/residual-ml/residual/weights/onnx"
)

// attributes reads a node's attributes and keeps the first error. What a node
// has beyond those that were asked for is an error too, for it would change what
// the node computes.
type attributes struct {
	node  *onnx.Node
	asked []string
	err   error
}

func (a *attributes) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, args...)
	}
}

// get returns the value of an attribute, nil where the node has none.
func get[T any](a *attributes, name string) (v T, ok bool) {
	a.asked = append(a.asked, name)
	for _, attr := range a.node.Attributes {
		if attr.Name != name {
			continue
		}
		if v, ok = attr.Value.(T); !ok {
			a.fail("attribute %s is of another kind than ONNX says", name)
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

// float returns a number as it was written before it became a float32: 1e-5, not
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

// want demands the one value of an attribute that is supported.
func (a *attributes) want(name string, value, otherwise int64) {
	if v := a.int(name, otherwise); v != value {
		a.fail("%s=%d is not supported, only %d", name, v, value)
	}
}

// ignore passes over attributes that change nothing here.
func (a *attributes) ignore(names ...string) { a.asked = append(a.asked, names...) }

// done returns the first error.
func (a *attributes) done() error {
	for _, attr := range a.node.Attributes {
		if !slices.Contains(a.asked, attr.Name) {
			a.fail("attribute %q is not known", attr.Name)
		}
	}
	return a.err
}

// pair reads a list of two sizes from least to mostSize.
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
		if size < int64(least) || size > mostSize {
			a.fail("%s=%v: a size is from %d to %d", name, v, least, mostSize)
			return 1, 1
		}
	}
	return int(v[0]), int(v[1])
}

// mostSize is beyond every window of a network of images.
const mostSize = 512

// pads reads pads and auto_pad. Only padding that is the same on both sides of
// an axis is supported.
func (a *attributes) pads() (h, w int) {
	auto := a.text("auto_pad", "NOTSET")
	v := a.ints("pads")
	switch auto {
	case "NOTSET", "":
	case "VALID":
		return 0, 0
	default:
		a.fail("auto_pad=%s is not supported; export with explicit pads", auto)
		return 0, 0
	}
	switch {
	case v == nil:
		return 0, 0
	case len(v) != 4:
		a.fail("pads has %d sizes, where two-dimensional windows have 4", len(v))
		return 0, 0
	case v[0] != v[2] || v[1] != v[3]:
		a.fail("asymmetric pads %v (top, left, bottom, right) are not supported", v)
		return 0, 0
	}
	for _, size := range v {
		if size < 0 || size > mostSize {
			a.fail("pads=%v: a size is from 0 to %d", v, mostSize)
			return 0, 0
		}
	}
	return int(v[0]), int(v[1])
}

package cpu

import (
	"cmp"
	"slices"

	"github.com/residual-ml/residual/engine"
)

// repeatedAxis is one dimension of a value, in the order of memory, and the distance between
// neighbours in the value that is repeated: 0 along dimensions in which this has size 1.
type repeatedAxis struct{ size, stride, from int }

// repeater returns a function that writes the elements of out from lo on, in the order of its
// memory, of a value that is broadcast to its shape and lies at src.
func repeater(v, out *engine.Value, src activation) func(to []float32, lo int) {
	axes := repeatedAxes(v, out)
	last := axes[len(axes)-1]
	return func(to []float32, lo int) {
		var index [8]int
		at, remaining := 0, lo
		for d := len(axes) - 1; d >= 0; d-- {
			index[d] = remaining % axes[d].size
			remaining /= axes[d].size
			at += index[d] * axes[d].from
		}
		for len(to) > 0 {
			inner := len(axes) - 1
			n := min(last.size-index[inner], len(to))
			row := to[:n]
			switch {
			case last.from == 0:
				x := src.get(at)
				for i := range row {
					row[i] = x
				}
			case last.from == 1 && src.full != nil:
				copy(row, src.full[at:])
			default:
				for i := range row {
					row[i] = src.get(at + i*last.from)
				}
			}
			to = to[n:]
			at -= index[inner] * last.from
			index[inner] = 0
			for d := inner - 1; d >= 0; d-- {
				if index[d]++; index[d] < axes[d].size {
					at += axes[d].from
					break
				}
				index[d] = 0
				at -= (axes[d].size - 1) * axes[d].from
			}
		}
	}
}

// repeatedAxes lists the dimensions of out in the order of its memory, the innermost last.
// Neighbouring dimensions that are repeated alike are joined. There is at least one.
func repeatedAxes(v, out *engine.Value) []repeatedAxis {
	strides, own := out.Layout.Strides(out.Shape), v.Layout.Strides(v.Shape)
	var all []repeatedAxis
	for d, size := range out.Shape {
		if size == 1 {
			continue
		}
		a := repeatedAxis{size: size, stride: strides[d]}
		if v.Shape[d] != 1 {
			a.from = own[d]
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b repeatedAxis) int { return cmp.Compare(b.stride, a.stride) })
	var joined []repeatedAxis
	for _, a := range all {
		if n := len(joined); n > 0 && joined[n-1].from == a.from*a.size {
			joined[n-1] = repeatedAxis{joined[n-1].size * a.size, a.stride, a.from}
			continue
		}
		joined = append(joined, a)
	}
	if joined == nil {
		joined = []repeatedAxis{{size: 1, stride: 1}}
	}
	return joined
}

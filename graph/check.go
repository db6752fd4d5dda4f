package graph

import (
	"fmt"
	"strings"

	"github.com/residual-ml/residual/tensor"
)

// badShapes panics with the op, the reason and the shapes of its inputs.
func badShapes(op Op, in []tensor.Shape, why string, args ...any) {
	names := make([]string, len(in))
	for i, s := range in {
		names[i] = s.String()
	}
	panic(tensor.Misusef("%s: %s (inputs %s)", op.Name(), fmt.Sprintf(why, args...), strings.Join(names, " ")))
}

// wantInputs panics unless op got between least and most inputs.
func wantInputs(op Op, in []tensor.Shape, least, most int) {
	if len(in) < least || len(in) > most {
		if least == most {
			badShapes(op, in, "needs %d inputs", least)
		}
		badShapes(op, in, "needs %d to %d inputs", least, most)
	}
}

// wantRank panics unless input i of op has that many dimensions, named by what.
func wantRank(op Op, in []tensor.Shape, i, rank int, what string) {
	if len(in[i]) != rank {
		badShapes(op, in, "input %d is not %s", i, what)
	}
}

// wantShape panics unless input i of op has the given sizes.
func wantShape(op Op, in []tensor.Shape, i int, what string, sizes ...int) {
	if !in[i].Equal(tensor.Shape(sizes)) {
		badShapes(op, in, "%s (input %d) is not %v", what, i, tensor.Shape(sizes))
	}
}

// sameShapes checks for count inputs of one shape and returns it.
func sameShapes(op Op, in []tensor.Shape, count int) tensor.Shape {
	wantInputs(op, in, count, count)
	for _, s := range in[1:] {
		if !s.Equal(in[0]) {
			badShapes(op, in, "shapes differ")
		}
	}
	return in[0]
}

// noSecond panics: op is itself a gradient, and has none.
func noSecond(op Op) []*Node {
	panic(tensor.Misusef("%s: second derivatives are not supported", op.Name()))
}

// together returns the shape that both are broadcast to. Panics name op.
func together(op Op, in []tensor.Shape, a, b tensor.Shape) tensor.Shape {
	to := make(tensor.Shape, max(len(a), len(b)))
	for i := range to {
		to[i] = 1
		for _, s := range []tensor.Shape{a, b} {
			d := i - len(to) + len(s)
			if d < 0 || s[d] == 1 {
				continue
			}
			if to[i] != 1 && s[d] != to[i] {
				badShapes(op, in, "shapes differ and cannot be broadcast")
			}
			to[i] = s[d]
		}
	}
	return to
}

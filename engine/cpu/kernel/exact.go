package kernel

import "math"

// exactTiling is an algorithm on integers: the transforms of the input and, without scales, of
// the output, the matrix of the filter, and the scales, of which shifts has the powers of two
// and undo the inverse of the square of the odd part.
type exactTiling struct {
	input, output integerSequence
	filter        [][3]int16
	shifts        []int
	undo          uint32
}

// integerOperation computes a value from others: a + c*b.
type integerOperation struct {
	a, b int8
	c    int32
}

// integerSequence is a transform as a sequence of operations. Values 0, 1, ... are its
// inputs; the results of its operations follow. outs has the values that are its outputs.
type integerSequence struct {
	ins  int
	ops  []integerOperation
	outs []int
}

// integerTile has the values of a tile in rows of mixMost.
type integerTile [mixMost * mixMost]int32

// square applies a sequence to the columns and then the rows of a tile.
func (s *integerSequence) square(tile *integerTile) {
	var v [32]int32
	for p := range s.ins {
		for k := range s.ins {
			v[k] = tile[k*mixMost+p]
		}
		s.run(&v)
		for i, o := range s.outs {
			tile[i*mixMost+p] = v[o]
		}
	}
	for i := range s.outs {
		copy(v[:s.ins], tile[i*mixMost:])
		s.run(&v)
		for j, o := range s.outs {
			tile[i*mixMost+j] = v[o]
		}
	}
}

func (s *integerSequence) run(v *[32]int32) {
	for i, op := range s.ops {
		v[s.ins+i] = v[op.a] + op.c*v[op.b]
	}
}

// ByteTileLimit is the most that the weights of an output channel may sum to, over all taps
// and input channels and each sign for itself, so that F(m x m, 3 x 3) is exact.
func ByteTileLimit(m int) int {
	shift := 0
	for _, s := range exactTilings[m-3].shifts {
		shift = max(shift, 2*s)
	}
	return (1<<(31-shift) - 1) / math.MaxUint8
}

// FilterBytes transforms weights w[(tap*k + i)*n + j] for F(m x m, 3 x 3), of k input channels
// i, an even number, and n output channels j. It writes those of point p to a panel for
// Int16.DotSums, which begins at dst[p*step] and is cols wide; columns from n on are zero.
func FilterBytes(m int, dst []int16, step int, w []int8, k, n, cols int) {
	matrix, t := exactTilings[m-3].filter, m+2
	for i := range k {
		for j := range cols {
			var rows [mixMost][3]int16
			if j < n {
				for a, f := range matrix {
					for b := range 3 {
						rows[a][b] = f[0]*int16(w[(b*k+i)*n+j]) + f[1]*int16(w[((3+b)*k+i)*n+j]) + f[2]*int16(w[((6+b)*k+i)*n+j])
					}
				}
			}
			at := i/2*2*cols + 2*j + i%2
			for a := range t {
				for b, f := range matrix {
					dst[(a*t+b)*step+at] = rows[a][0]*f[0] + rows[a][1]*f[1] + rows[a][2]*f[2]
				}
			}
		}
	}
}

package kernel

import "fmt"

// Mix names a small matrix T of Winograd's convolution F(m x m, 3 x 3), which is
// applied to streams of lanes. With it an output tile of m x m pixels takes t*t
// multiplications, t = m+2, instead of 9*m*m (Lavin and Gray, "Fast algorithms for
// convolutional neural networks", arXiv 1509.09308, equation 13). In the paper's
// letters, for one tile d of the input and the filter g,
//
//	Y  = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A      the output
//	dg = Gᵀ [ (Bᵀ d B) ⊙ (A dY Aᵀ) ] G     the gradient of the filter
//
// The gradient of the input is Y for the gradient of the output and the filter
// rotated by 180 degrees, FilterFlip.
//
// The matrices, and so the error, follow from the points at which the polynomials
// of Cook and Toom are evaluated. The table has the root mean square and the maximum
// of the error in units of the root mean square of the output, for 512 input
// channels and 64 output channels of normally distributed numbers. The last line is
// the direct sum of 4608 multiply-adds in float32:
//
//	F(2,3)  0, ±1, ∞           0.70e-6   3.6e-6   (chosen)
//	F(3,3)  0, ±1, 2, ∞        2.45e-6  20.1e-6
//	        0, ±1, 1/2, ∞      2.42e-6  19.7e-6
//	        ±3/8, ±5/4, ∞      1.09e-6   5.4e-6   (chosen)
//	F(4,3)  0, ±1, ±2, ∞       4.48e-6  59.8e-6
//	        0, ±1, ±1/2, ∞     4.64e-6  54.4e-6
//	        0, ±1, 1/2, -2, ∞  2.82e-6  16.0e-6
//	        0, ±5/8, ±3/2, ∞   1.96e-6  15.8e-6   (chosen)
//	direct                     1.2e-6    7 to 9e-6
//
// All entries of Bᵀ and A are dyadic and exact in float32; those of G are rounded.
type Mix uint8

// The matrices. The number at the end of a name is m.
const (
	Input2      Mix = iota // Bᵀ: t x t, a tile of the input
	Output2                // Aᵀ: m x t, back to a tile of the output
	Filter2                // G: t x 3, the filter
	FilterFlip2            // G with its columns reversed: the filter rotated by 180 degrees
	OutputGrad2            // A: t x m, a tile of the gradient of the output
	FilterGrad2            // Gᵀ: 3 x t, back to the gradient of the filter
	Input3
	Output3
	Filter3
	FilterFlip3
	OutputGrad3
	FilterGrad3
	Input4
	Output4
	Filter4
	FilterFlip4
	OutputGrad4
	FilterGrad4
	mixes int = iota
)

// mixMost is the size of the largest matrix.
const mixMost = 6

// The assembly divides lanes into runs, for each of which it gets a pointer to every
// pixel, runs into blocks, whose values between the two passes it stores, and blocks
// into steps. The sizes are the same for every instruction set.
const (
	mixLanes = 16   // in a step
	mixBlock = 8    // steps in a block
	mixRun   = 1024 // lanes in a run
)

// MixScratch is the number of scratch elements that Mix2 needs: a block of values
// between the passes, copies of input and output of the last, partial step, a run of
// outputs outside the image, and room to begin at a cache line.
const MixScratch = mixMost*mixMost*mixLanes*(mixBlock+2) + mixRun + mixLanes

// fraction is an entry of a matrix: a numerator and a denominator.
type fraction [2]int64

func (f fraction) float64() float64 { return float64(f[0]) / float64(f[1]) }

// exact returns the matrix in fractions.
func (m Mix) exact() [][]fraction {
	w := &winograd[m/6]
	var rows, cols int
	var at func(i, k int) fraction
	plain := func(t [][]fraction) {
		rows, cols, at = len(t), len(t[0]), func(i, k int) fraction { return t[i][k] }
	}
	transposed := func(t [][]fraction) {
		rows, cols, at = len(t[0]), len(t), func(i, k int) fraction { return t[k][i] }
	}
	switch m % 6 {
	case Input2:
		plain(w[0])
	case Output2:
		plain(w[1])
	case Filter2:
		plain(w[2])
	case FilterFlip2:
		rows, cols, at = len(w[2]), 3, func(i, k int) fraction { return w[2][i][2-k] }
	case OutputGrad2:
		transposed(w[1])
	case FilterGrad2:
		transposed(w[2])
	}
	t := make([][]fraction, rows)
	for i := range t {
		for k := range cols {
			t[i] = append(t[i], at(i, k))
		}
	}
	return t
}

// Size returns the numbers of rows and columns of the matrix.
func (m Mix) Size() (outs, ins int) {
	t := &mixTable[m]
	return t.outs, t.ins
}

// Coefficients returns the matrix itself, by which tests check the kernels.
func (m Mix) Coefficients() [][]float64 {
	var t [][]float64
	for _, row := range m.exact() {
		var r []float64
		for _, c := range row {
			r = append(r, c.float64())
		}
		t = append(t, r)
	}
	return t
}

// String returns the name of the constant.
func (m Mix) String() string {
	if int(m) >= mixes {
		return fmt.Sprintf("mix(%d)", uint8(m))
	}
	roles := [...]string{"Input", "Output", "Filter", "FilterFlip", "OutputGrad", "FilterGrad"}
	return fmt.Sprintf("%s%d", roles[m%6], 2+m/6)
}

// mixMatrix is a matrix as the plain Go kernels read it.
type mixMatrix struct {
	outs, ins int
	t         [mixMost][mixMost]float32
}

var mixTable = func() (table [mixes]mixMatrix) {
	for m := range table {
		exact := Mix(m).exact()
		table[m].outs, table[m].ins = len(exact), len(exact[0])
		for i, row := range exact {
			for k, c := range row {
				table[m].t[i][k] = float32(c.float64())
			}
		}
	}
	return table
}()

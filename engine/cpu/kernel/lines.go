package kernel

import "math"

// Lines is the table of the transforms of Winograd's convolution F(4,4) in one dimension, around
// products of 16-bit integers. It computes convolutions of few channels with stride 2, such as
// the first of a network: two neighbouring pixels of a line are one value, whose LineDepth lanes
// are their channels, and of values the stride is 1. In the letters of Tiles, with a tile d of
// seven values,
//
//	V = round(s·f ⊙ (Bᵀ d))       s = (2^15-2)/a for the largest magnitude a of some lines
//	U = round(u ⊙ (G g))          u for every point and output channel
//	y = Aᵀ [ (Σ V ⊙ U) / (u·f) ] / s
//
// where products are summed over lanes and over the lines of the filter. What Tiles says of exact
// sums, of magnitudes that are too large and of transforms holds here, too, with some lines in
// place of an image of a tile.
type Lines struct {
	// Input transforms lines of values that are size elements wide and follow each other,
	// and writes dst[r*line + p*point + LineDepth*t + i] for line r, point p, tile t and
	// lane i < size. size is even and at most LineDepth. tiles is even; lines, at most
	// MostLines of them, are ld elements apart, a multiple of 32 that has room for the tiles
	// and LineDepth elements more. Elements behind the tiles must not be larger than those in
	// them. It returns 1/s. scratch has TileScratch elements.
	Input func(dst []int16, line, point int, src []uint16, ld, lines, size, tiles int, scratch []float32) (inverse float32)

	// Output transforms the products src[p*step + t*Cols + j] of points p, tiles t and
	// columns j, Cols in number, back into pixels. With x the value of a column there, it
	// computes y = x*scale[j] + shift[j], rounded once, then max(0, y) if relu is set, rounds
	// it to bfloat16 and writes it to dst[(4*t+i)*pixel + j] for i < 4.
	Output func(dst []uint16, pixel int, src []float32, step int, scale, shift []float32, relu bool, tiles int)
}

const (
	// LineDepth is the number of lanes of a value.
	LineDepth = 8

	// LinePoints is the number of points.
	LinePoints = 7

	// LineTile is the number of pixels of a tile.
	LineTile = 4

	// LineTaps is the number of taps of the filter of a tile, each of which is a value.
	LineTaps = 4

	// MostLines is the most lines that Input transforms at once.
	MostLines = mixMost * mixMost
)

// lineFactors has for every point 1 over the largest magnitude of Bᵀ d for d from -1 to 1.
var lineFactors = func() (f [LinePoints]float32) {
	for p, row := range lineInputs {
		sum := 0.0
		for _, c := range row {
			sum += math.Abs(c)
		}
		f[p] = float32(1 / sum)
	}
	return f
}()

// lineScales returns the factors that make integers of lines whose largest magnitude is most,
// and the inverse of their scale.
func lineScales(most float32) (factors [LinePoints]float32, inverse float32) {
	scale, inverse := tileSigned.scale(most)
	for p, f := range lineFactors {
		factors[p] = float32(scale * f)
	}
	return factors, inverse
}

// FilterLines rounds the filters of some columns, at most cols, to integers. Column j has the
// weights weight[(i*size+e)*ld+j] of lines i and of elements e of LineTaps values, each of size
// elements; those from width on are zero. It writes panels for products, those of a point behind
// those of the one before: of every line size rows, cols wide. scale[p*cols+j] becomes 1/(u·f).
func FilterLines(panel []int16, scale, weight []float32, lines, width, size, columns, ld, cols int) {
	clear(panel)
	clear(scale[:LinePoints*cols])
	values := make([]float32, lines*size)
	for j := range columns {
		for p, row := range lineFilter {
			var sum, most float32
			for k := range values {
				line, lane, u := k/size, k%size, 0.0
				for tap := 0; tap < LineTaps && tap*size+lane < width; tap++ {
					u += float64(row[tap] * float64(weight[(line*width+tap*size+lane)*ld+j]))
				}
				values[k] = float32(u)
				v := float32(math.Abs(u))
				sum += v
				most = max(most, v)
			}
			by := tileSigned.weight(sum, most)
			for k, u := range values {
				panel[(p*len(values)+k)/2*2*cols+2*j+k%2] = nearestWord(u, by)
			}
			scale[p*cols+j] = 1 / float32(by*lineFactors[p])
		}
	}
}

// portableLines is the table in plain Go.
var portableLines = Lines{Input: lineInputPortable, Output: lineOutputPortable}

func lineInputPortable(dst []int16, line, point int, src []uint16, ld, lines, size, tiles int, _ []float32) (inverse float32) {
	var most uint16
	for _, v := range src[:lines*ld] {
		most = max(most, v&0x7fff)
	}
	factors, inverse := lineScales(widen(most))
	var v mixValues
	for r := range lines {
		for t := range tiles {
			from := src[r*ld+t*LineTile*size:]
			for i := range LineDepth {
				for k := range LinePoints {
					v[k] = widen(from[k*size+i])
				}
				lineSteps[0].run(&v)
				for p, o := range lineSteps[0].outs {
					dst[r*line+p*point+t*LineDepth+i] = nearestWord(v[o], factors[p])
				}
			}
		}
	}
	return inverse
}

func lineOutputPortable(dst []uint16, pixel int, src []float32, step int, scale, shift []float32, relu bool, tiles int) {
	lineOutput(portableCols, dst, pixel, src, step, scale, shift, relu, tiles)
}

// lineOutput is Output for panels of a given width.
func lineOutput(cols int, dst []uint16, pixel int, src []float32, step int, scale, shift []float32, relu bool, tiles int) {
	var v mixValues
	for t := range tiles {
		for j := range cols {
			for p := range LinePoints {
				v[p] = src[p*step+t*cols+j]
			}
			lineSteps[1].run(&v)
			for i, o := range lineSteps[1].outs {
				y := fma(v[o], scale[j], shift[j])
				if relu && y < 0 {
					y = 0
				}
				dst[(LineTile*t+i)*pixel+j] = narrow(y)
			}
		}
	}
}

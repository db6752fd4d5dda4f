package engine

import "github.com/residual-ml/residual/graph"

// Share is one term of a weighted average: the pixel at index Source of the input's
// plane, and the factor it is multiplied by.
type Share struct {
	Source int
	Weight float32
}

// Averages lists, for every output pixel of an average pooling from h by w to oh by ow,
// the input pixels that it averages. Pixels are numbered row by row within a plane.
func Averages(op graph.AvgPool2d, h, w, oh, ow int) [][]Share {
	out := make([][]Share, oh*ow)
	for i := range out {
		y0, x0 := i/ow*op.StrideH-op.PadH, i%ow*op.StrideW-op.PadW
		y1, x1 := min(y0+op.KH, h+op.PadH), min(x0+op.KW, w+op.PadW)
		count := (y1 - y0) * (x1 - x0)
		y0, x0, y1, x1 = max(y0, 0), max(x0, 0), min(y1, h), min(x1, w)
		if op.ExcludePad {
			count = (y1 - y0) * (x1 - x0)
		}
		if op.Divisor != 0 {
			count = op.Divisor
		}
		out[i] = box(y0, y1, x0, x1, w, count)
	}
	return out
}

// AdaptiveAverages is Averages for an adaptive average pooling: of n windows over size
// pixels, window i begins at floor(i*size/n) and ends before ceil((i+1)*size/n).
func AdaptiveAverages(h, w, oh, ow int) [][]Share {
	out := make([][]Share, oh*ow)
	for i := range out {
		y, x := i/ow, i%ow
		y0, y1 := y*h/oh, ((y+1)*h+oh-1)/oh
		x0, x1 := x*w/ow, ((x+1)*w+ow-1)/ow
		out[i] = box(y0, y1, x0, x1, w, (y1-y0)*(x1-x0))
	}
	return out
}

// Interpolated is Averages for an upsampling of images of h by w pixels.
func Interpolated(op graph.Upsample, h, w int) [][]Share {
	rows, columns := op.Rows(h), op.Columns(w)
	out := make([][]Share, 0, len(rows)*len(columns))
	for _, row := range rows {
		for _, column := range columns {
			var s []Share
			for _, r := range row {
				for _, c := range column {
					s = append(s, Share{r.Source*w + c.Source, float32(r.Weight * c.Weight)})
				}
			}
			out = append(out, s)
		}
	}
	return out
}

func box(y0, y1, x0, x1, w, count int) []Share {
	var s []Share
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			s = append(s, Share{y*w + x, float32(1 / float64(count))})
		}
	}
	return s
}

// Transposed turns the shares listed for every output into shares listed for every one
// of the sources inputs. Weighting an output's gradient with them gives the input's.
func Transposed(shares [][]Share, sources int) [][]Share {
	out := make([][]Share, sources)
	for i, list := range shares {
		for _, s := range list {
			out[s.Source] = append(out[s.Source], Share{i, s.Weight})
		}
	}
	return out
}

package engine

import "github.com/residual-ml/residual/graph"

// Share says that a pixel of the destination takes a part of one of the source.
type Share struct {
	Source int
	Weight float32
}

// Averages lists the shares of every output pixel of an average pooling.
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

// AdaptiveAverages lists the shares of every output pixel of an adaptive
// average pooling: window i of n over size begins at floor(i*size/n) and ends at
// ceil((i+1)*size/n).
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

func box(y0, y1, x0, x1, w, count int) []Share {
	var s []Share
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			s = append(s, Share{y*w + x, float32(1 / float64(count))})
		}
	}
	return s
}

// Transposed turns shares of outputs into those of inputs: the gradient.
func Transposed(shares [][]Share, sources int) [][]Share {
	out := make([][]Share, sources)
	for i, list := range shares {
		for _, s := range list {
			out[s.Source] = append(out[s.Source], Share{i, s.Weight})
		}
	}
	return out
}

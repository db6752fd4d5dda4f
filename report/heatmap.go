package report

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"github.com/residual-ml/residual/tensor"
)

// inferno is every 17th of the 256 colours of matplotlib's colour map of that name, whose
// lightness grows evenly (https://bids.github.io/colormap). HeatColor interpolates between
// them, and is off by at most 6 of 255.
var inferno = [...][3]float64{
	{0, 0, 4}, {12, 8, 38}, {36, 12, 79}, {66, 10, 104}, {93, 18, 110}, {120, 28, 109}, {147, 38, 103}, {174, 48, 92},
	{199, 62, 76}, {221, 81, 58}, {237, 105, 37}, {248, 133, 15}, {252, 165, 10}, {250, 198, 45}, {242, 230, 97}, {252, 255, 164},
}

// HeatColor is the colour of v in matplotlib's inferno map, from 0 (black) through red to 1
// (pale yellow).
func HeatColor(v float64) color.RGBA {
	at := min(max(v, 0), 1) * float64(len(inferno)-1)
	if math.IsNaN(v) {
		at = 0
	}
	i := min(int(at), len(inferno)-2)
	mix := func(k int) uint8 {
		a, b := inferno[i][k], inferno[i+1][k]
		return uint8(a + (b-a)*(at-float64(i)) + 0.5)
	}
	return color.RGBA{mix(0), mix(1), mix(2), 255}
}

// Heatmap is a grid of values over an image, such as a class activation map.
type Heatmap struct {
	Height, Width int
	Values        []float32 // row by row; values below 0 count as 0
}

// Over lays h over the part seen of an image: the image in grey, and over it the colours
// of HeatColor, where the largest value has the lightest. Each value stands at the middle
// of its cell, and interpolation between them is bilinear, as in PyTorch's interpolate
// without align_corners. Outside seen the image is grey and dim.
func (h Heatmap) Over(img image.Image, seen image.Rectangle) *image.RGBA {
	if h.Height < 1 || h.Width < 1 || len(h.Values) != h.Height*h.Width {
		panic(tensor.Misusef("report: Heatmap.Over: %d values for %dx%d", len(h.Values), h.Height, h.Width))
	}
	b := img.Bounds()
	out := image.NewRGBA(b)
	draw.Draw(out, b, image.Black, image.Point{}, draw.Src)
	draw.Draw(out, b, img, b.Min, draw.Over)
	most := float32(0)
	for _, v := range h.Values {
		if v > most { // false for NaN
			most = v
		}
	}
	columns := make([]fields, b.Dx())
	for x := range columns {
		columns[x] = fieldsAt(b.Min.X+x-seen.Min.X, seen.Dx(), h.Width)
	}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		row := fieldsAt(y-seen.Min.Y, seen.Dy(), h.Height)
		line := out.Pix[out.PixOffset(b.Min.X, y):]
		for x, column := range columns {
			p := line[4*x : 4*x+3 : 4*x+3]
			grey := 0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2])
			heat, share := color.RGBA{}, 0.6
			if image.Pt(b.Min.X+x, y).In(seen) && most > 0 {
				heat = HeatColor(h.at(row, column) / float64(most))
			}
			for k, v := range [...]uint8{heat.R, heat.G, heat.B} {
				p[k] = uint8((1-share)*grey + share*float64(v) + 0.5)
			}
		}
	}
	return out
}

// fields is a position between two neighbouring cells: share is the weight of the second.
type fields struct {
	first, second int
	share         float64
}

// fieldsAt returns the cells, out of n, between which pixel i of size pixels lies.
func fieldsAt(i, size, n int) fields {
	at := (float64(i)+0.5)*float64(n)/float64(max(size, 1)) - 0.5
	at = min(max(at, 0), float64(n-1))
	first := int(at)
	return fields{first, min(first+1, n-1), at - float64(first)}
}

func (h Heatmap) at(row, column fields) float64 {
	v := func(i, j int) float64 { return max(0, float64(h.Values[i*h.Width+j])) }
	top := v(row.first, column.first)*(1-column.share) + v(row.first, column.second)*column.share
	bottom := v(row.second, column.first)*(1-column.share) + v(row.second, column.second)*column.share
	return top*(1-row.share) + bottom*row.share
}

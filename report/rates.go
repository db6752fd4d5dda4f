package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/guptarohit/asciigraph"
)

// Rates is the loss of a learning-rate search, whose rate rises by a constant factor: X of
// a point is the rate and Y the loss.
type Rates struct {
	Points []Point
	Mark   float64 // the suggested rate; 0 means none
}

// logged returns the curve over the logarithm of the rate, without what cannot be drawn.
func (r Rates) logged() []Point {
	var out []Point
	for _, p := range r.Points {
		if p.X > 0 && math.Abs(p.Y) <= drawable {
			out = append(out, Point{math.Log10(p.X), p.Y})
		}
	}
	return out
}

// Figure returns the curve as a figure, with a line at the suggested rate.
func (r Rates) Figure() Figure {
	points := r.logged()
	p := Panel{X: "learning rate", Y: "loss", Lines: []Line{{Name: "smoothed loss", Points: points, Color: 1}}}
	if len(points) == 0 {
		return Figure{Rows: [][]Panel{{p}}}
	}
	low, high := span(points)
	if r.Mark > 0 {
		at := math.Log10(r.Mark)
		p.Lines = append(p.Lines, Line{Name: fmt.Sprintf("suggested: %.2g", r.Mark), Points: []Point{{at, low}, {at, high}}, Dashed: true})
	}
	for _, t := range (powerTicks{}).Ticks(math.Pow(10, points[0].X), math.Pow(10, points[len(points)-1].X)) {
		p.Ticks = append(p.Ticks, Tick{math.Log10(t.Value), t.Label})
	}
	return Figure{Rows: [][]Panel{{p}}}
}

// span returns the smallest and the largest value.
func span(points []Point) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, p := range points {
		low, high = min(low, p.Y), max(high, p.Y)
	}
	return low, high
}

// Terminal draws the curve as text that fits into width columns and height lines. A mark on
// the x axis stands at the suggested rate, and the line below says what the curve and the
// mark are. It returns "" where there is too little room or nothing to draw; see
// Curves.Terminal.
func (r Rates) Terminal(width, height int, color bool) string {
	points := r.logged()
	if width < minChartWidth || height < minChartHeight || len(points) < 2 {
		return ""
	}
	low, high := span(points)
	if high-low < 1e-9 {
		high = low + 1
	}
	labels := axisFormat(low, high)
	first, last := points[0].X, points[len(points)-1].X
	columns := width - max(len(labels(low)), len(labels(high))) - 6 // leaves room for half a label of the x axis
	all := marks()
	data := [][]float64{sample(shift(points, first), last-first, columns)}
	chars, colors := []asciigraph.CharSet{all[0].chars}, []asciigraph.AnsiColor{all[0].color}
	keys := []legendKey{{all[0], "smoothed loss"}}
	if at := math.Log10(r.Mark); r.Mark > 0 && at >= first && at <= last {
		mark := slices.Repeat([]float64{math.NaN()}, columns)
		mark[int(math.Round((at-first)/(last-first)*float64(columns-1)))] = low
		data, chars, colors = append(data, mark), append(chars, all[3].chars), append(colors, all[3].color)
		keys = append(keys, legendKey{all[3], fmt.Sprintf("suggested: %.2g", r.Mark)})
	}
	options := []asciigraph.Option{
		asciigraph.Height(height - 5), asciigraph.LowerBound(low), asciigraph.UpperBound(high), asciigraph.YAxisValueFormatter(labels),
		asciigraph.XAxisRange(first, last), asciigraph.XAxisTickCount(max(2, min(9, columns/9))),
		asciigraph.XAxisValueFormatter(func(v float64) string { return fmt.Sprintf("%.1e", math.Pow(10, v)) }),
		asciigraph.SeriesChars(chars...),
	}
	if color {
		options = append(options, asciigraph.SeriesColors(colors...))
	}
	return asciigraph.PlotMany(data, options...) + "\n" + legendLine("learning rate", keys, width, color)
}

package report

import (
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/guptarohit/asciigraph"
)

// The smallest chart that is still readable, legend and axes included.
const (
	minChartWidth  = 30
	minChartHeight = 7
)

// mark says how a curve is drawn in text. Its characters tell curves apart where
// there is no colour.
type mark struct {
	color   asciigraph.AnsiColor
	escape  string // the same colour for the legend
	chars   asciigraph.CharSet
	example string
}

func marks() []mark {
	return []mark{
		{asciigraph.Blue, "\x1b[94m", asciigraph.DefaultCharSet, "──"},
		{asciigraph.Magenta, "\x1b[95m", asciigraph.CreateCharSet("+"), "++"},
		{asciigraph.Green, "\x1b[32m", asciigraph.CreateCharSet("•"), "••"},
		{asciigraph.Red, "\x1b[91m", asciigraph.CreateCharSet("x"), "xx"},
	}
}

// Terminal draws the curves as text that fits into width columns and height
// lines, axes and legend included. Lines are joined by newlines, without one at
// the end. With color it uses ANSI escape sequences, otherwise none. It returns
// "" where width is under 30 or height under 7.
func (c *Curves) Terminal(width, height int, color bool) string {
	if width < minChartWidth || height < minChartHeight {
		return ""
	}
	f := c.figure(0)
	f.xmax = math.Ceil(f.xmax)
	rows := height - 4
	lo, hi := textRange(f.ymin, f.ymax, rows)
	labels := axisFormat(lo, hi)
	labelWidth := max(len(labels(lo)), len(labels(hi)))
	// asciigraph puts three columns between label and data, and the last x
	// label reaches beyond the data by up to half its length.
	columns := width - labelWidth - 3 - len(strconv.Itoa(int(f.xmax)))/2
	if columns < 8 {
		return ""
	}

	var data [][]float64
	var colors []asciigraph.AnsiColor
	var chars []asciigraph.CharSet
	all := marks()
	for i, s := range f.series {
		m := all[i%len(all)]
		data = append(data, sample(s.Points, f.xmax, columns))
		chars = append(chars, m.chars)
		if color {
			colors = append(colors, m.color)
		}
	}
	if len(data) == 0 {
		data = [][]float64{sample(nil, f.xmax, columns)}
	}
	chart := asciigraph.PlotMany(data,
		asciigraph.Height(rows), asciigraph.LowerBound(lo), asciigraph.UpperBound(hi),
		asciigraph.YAxisValueFormatter(labels),
		asciigraph.XAxisRange(0, f.xmax), asciigraph.XAxisTickCount(ticks(int(f.xmax), columns)),
		asciigraph.XAxisValueFormatter(func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }),
		asciigraph.SeriesColors(colors...), asciigraph.SeriesChars(chars...))
	return chart + "\n" + legend(f.series, width, color)
}

// textRange widens the range so that zero is on the axis: at its lower end, or
// at one of the rows where there are values below zero.
func textRange(lo, hi float64, rows int) (float64, float64) {
	hi = math.Max(hi, 1)
	if lo >= 0 {
		return 0, hi
	}
	row := (hi - lo) / float64(rows-1)
	lo = -math.Ceil(-lo/row) * row
	return lo, lo + float64(rows)*row
}

// axisFormat gives y labels two decimals, or fewer digits where they are long.
func axisFormat(lo, hi float64) func(float64) string {
	if math.Max(math.Abs(lo), math.Abs(hi)) < 1000 {
		return func(v float64) string {
			if math.Abs(v) < 0.005 {
				v = 0 // not "-0.00"
			}
			return strconv.FormatFloat(v, 'f', 2, 64)
		}
	}
	return func(v float64) string { return strconv.FormatFloat(v, 'e', 1, 64) }
}

// ticks chooses the number of x labels: whole epochs, evenly spaced, with at
// least five columns each.
func ticks(epochs, columns int) int {
	for step := 1; step < epochs; step++ {
		if epochs%step == 0 && (epochs/step)*5 <= columns {
			return epochs/step + 1
		}
	}
	return 2
}

// sample reads a curve at `columns` places from 0 to xmax: straight lines
// between its points and NaN outside them. Every point marks the column
// nearest to it, so that a curve with a single point is visible.
func sample(points []Point, xmax float64, columns int) []float64 {
	out := make([]float64, columns)
	for i := range out {
		out[i] = math.NaN()
	}
	if len(points) == 0 {
		return out
	}
	for i := range out {
		x := xmax * float64(i) / float64(columns-1)
		k := sort.Search(len(points), func(k int) bool { return points[k].X >= x })
		if k < len(points) && points[k].X == x {
			out[i] = points[k].Y
		} else if k > 0 && k < len(points) {
			out[i] = between(points[k-1], points[k], x)
		}
	}
	for _, p := range []Point{points[0], points[len(points)-1]} {
		if i := int(math.Round(p.X / xmax * float64(columns-1))); i >= 0 && i < columns {
			out[i] = p.Y
		}
	}
	return out
}

// legend says which mark is which series.
func legend(series []Series, width int, color bool) string {
	all := marks()
	keys := make([]legendKey, len(series))
	for i, s := range series {
		keys[i] = legendKey{all[i%len(all)], s.Name}
	}
	return legendLine("epoch", keys, width, color)
}

// legendKey is a mark and what it stands for.
type legendKey struct {
	mark mark
	name string
}

// legendLine names the x axis and the marks, in the middle of width columns. If there is too
// little room, the axis is left out; if that is not enough, the line is cut.
func legendLine(axis string, keys []legendKey, width int, color bool) string {
	var plain, colored string
	for _, k := range keys {
		name := printable(k.name)
		plain += "   " + k.mark.example + " " + name
		colored += "   " + k.mark.escape + k.mark.example + "\x1b[0m " + name
	}
	if marks := strings.TrimSpace(plain); textWidth(axis+plain) > width && textWidth(marks) <= width {
		axis, plain, colored = "", marks, strings.TrimSpace(colored)
	}
	plain, colored = axis+plain, axis+colored
	indent := max(0, (width-textWidth(plain))/2)
	if textWidth(plain) > width {
		return clip(plain, width)
	}
	if color {
		plain = colored
	}
	return strings.Repeat(" ", indent) + plain
}

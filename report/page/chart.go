package page

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/report"
)

// chart is a panel ready for the template.
type chart struct {
	Title  string
	Legend []legend
	SVG    template.HTML
}

type legend struct {
	Name, Last string
	Color      int // class in the style sheet
}

// The drawing has this size in its own units, and the page scales it.
const (
	chartWidth, chartHeight       = 520, 300
	plotLeft, plotRight           = 46, 510
	plotTop, plotBottom           = 12, 262
	colours                       = 6  // line colours in the style sheet
	maxMarks                      = 60 // largest number of points for which a line gets dots with their values
	yTicks                        = 5
	largestDrawn                  = 1e30
	reliabilityPlot, reliabilityH = 300, 70
)

// axis maps values to coordinates of the drawing.
type axis struct{ low, high, from, to float64 }

func (a axis) at(v float64) float64 {
	return a.from + (v-a.low)/(a.high-a.low)*(a.to-a.from)
}

// step returns the distance between about n round values on a.
func (a axis) step(n int) float64 {
	step := math.Pow(10, math.Floor(math.Log10((a.high-a.low)/float64(n))))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if (a.high-a.low)/(step*m) <= float64(n) {
			return step * m
		}
	}
	return step
}

// widened returns a extended to round values at both ends.
func (a axis) widened(n int) axis {
	step := a.step(n)
	a.low, a.high = math.Floor(a.low/step+1e-9)*step, math.Ceil(a.high/step-1e-9)*step
	return a
}

// ticks returns about n round values between the ends of a.
func (a axis) ticks(n int) []float64 {
	step := a.step(n)
	var out []float64
	for i := math.Ceil(a.low/step - 1e-9); i*step <= a.high+1e-9*step; i++ {
		out = append(out, i*step+0) // +0 turns -0 into 0
	}
	return out
}

// drawn returns the points of a line that can be drawn.
func drawn(points []report.Point) []report.Point {
	return slices.DeleteFunc(slices.Clone(points), func(p report.Point) bool {
		return !(math.Abs(p.X) <= largestDrawn && math.Abs(p.Y) <= largestDrawn)
	})
}

// chartOf draws a panel; it returns false where the panel has no points. Colours come from
// the page's style, so that the chart is light or dark as the page is.
func chartOf(p report.Panel) (chart, bool) {
	x := axis{0, 0, plotLeft, plotRight}
	y := axis{math.Inf(1), math.Inf(-1), plotBottom, plotTop}
	c := chart{Title: p.Title}
	lines := make([][]report.Point, len(p.Lines))
	for i, l := range p.Lines {
		lines[i] = drawn(l.Points)
		for _, q := range lines[i] {
			x.high = max(x.high, q.X)
			y.low, y.high = min(y.low, q.Y), max(y.high, q.Y)
		}
		if n := len(lines[i]); n > 0 {
			c.Legend = append(c.Legend, legend{l.Name, strconv.FormatFloat(lines[i][n-1].Y, 'g', 4, 64), l.Color % colours})
		}
	}
	if len(c.Legend) == 0 || x.high == 0 {
		return c, false
	}
	if p.FromZero {
		y.low = min(y.low, 0)
	}
	if p.YRange != nil {
		y.low, y.high = p.YRange[0], p.YRange[1]
	}
	if y.high-y.low < 1e-9*max(1, math.Abs(y.high)) {
		y.low, y.high = y.low-0.5, y.high+0.5
	}
	if p.YRange == nil {
		y = y.widened(yTicks)
	}
	var b strings.Builder
	label := fmt.Sprintf("%s by %s:", p.Title, p.X)
	for _, l := range c.Legend {
		label += fmt.Sprintf(" %s ends at %s.", l.Name, l.Last)
	}
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, chartWidth, chartHeight, template.HTMLEscapeString(label))
	axes(&b, x, y, p.X)
	for i, points := range lines {
		line(&b, x, y, points, p.Lines[i])
	}
	b.WriteString(`</svg>`)
	c.SVG = template.HTML(b.String())
	return c, true
}

func axes(b *strings.Builder, x, y axis, name string) {
	for _, v := range y.ticks(yTicks) {
		at := y.at(v)
		fmt.Fprintf(b, `<path class="grid" d="M%d %.1fH%d"/><text class="tick end" x="%d" y="%.1f">%s</text>`,
			plotLeft, at, plotRight, plotLeft-7, at+3.5, number(v))
	}
	for _, v := range x.ticks(8) {
		at := x.at(v)
		fmt.Fprintf(b, `<path class="grid" d="M%.1f %dv4"/><text class="tick mid" x="%.1f" y="%d">%s</text>`,
			at, plotBottom, at, plotBottom+18, number(v))
	}
	fmt.Fprintf(b, `<path class="axis" d="M%d %dH%d"/><text class="tick mid" x="%d" y="%d">%s</text>`,
		plotLeft, plotBottom, plotRight, (plotLeft+plotRight)/2, plotBottom+34, template.HTMLEscapeString(name))
}

// number formats a tick without the rounding error of its sum.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func line(b *strings.Builder, x, y axis, points []report.Point, l report.Line) {
	if len(points) == 0 {
		return
	}
	kind := fmt.Sprintf("line c%d", l.Color%colours)
	if l.Dashed {
		kind += " dashed"
	}
	fmt.Fprintf(b, `<path class="%s" d="`, kind)
	for i, p := range points {
		fmt.Fprintf(b, "%c%.1f %.1f", "ML"[min(i, 1)], x.at(p.X), y.at(p.Y))
	}
	b.WriteString(`"/>`)
	if len(points) > maxMarks {
		return
	}
	radius := 2.5
	if !l.Marks && len(points) > 1 {
		radius = 6 // invisible, for the mouse alone
		kind += " ghost"
	}
	for _, p := range points {
		fmt.Fprintf(b, `<circle class="dot %s" cx="%.1f" cy="%.1f" r="%.1f"><title>%s %s: %s</title></circle>`,
			kind, x.at(p.X), y.at(p.Y), radius, template.HTMLEscapeString(l.Name), number(p.X), strconv.FormatFloat(p.Y, 'g', 5, 64))
	}
}

// reliability draws the reliability diagram of Guo et al., figure 1: the accuracy of every
// bin as a bar, its gap to the confidence, the diagonal of a perfectly calibrated model,
// and below them the number of answers in each bin.
func reliability(c *report.Calibration) template.HTML {
	const left, top, right, bottom = plotLeft, plotTop, plotLeft + reliabilityPlot, plotTop + reliabilityPlot
	const base = bottom + 34 + reliabilityH
	x, y := axis{0, 1, left, right}, axis{0, 1, bottom, top}
	all, most := c.All(), 1
	for _, b := range c.Bins {
		most = max(most, b.Count)
	}
	count := axis{0, float64(most), base, base - reliabilityH}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="Reliability diagram: accuracy by confidence in %d bins; the expected calibration error is %s">`,
		right+12, base+36, len(c.Bins), percent(c.ExpectedError()))
	for _, v := range []float64{0, 0.2, 0.4, 0.6, 0.8, 1} {
		fmt.Fprintf(&b, `<path class="grid" d="M%d %.1fH%d"/><text class="tick end" x="%d" y="%.1f">%s</text>`,
			left, y.at(v), right, left-7, y.at(v)+3.5, number(v))
		fmt.Fprintf(&b, `<text class="tick mid" x="%.1f" y="%d">%s</text>`, x.at(v), base+17, number(v))
	}
	width := (right - left) / float64(len(c.Bins))
	for i, bin := range c.Bins {
		if bin.Count == 0 {
			continue
		}
		at := left + float64(i)*width
		rect := func(kind string, from, to float64) {
			fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, kind, at+1, min(from, to), width-2, math.Abs(from-to))
		}
		b.WriteString(`<g>`)
		fmt.Fprintf(&b, `<title>%s answers with a confidence of %s on average: %s right</title>`,
			report.Count(int64(bin.Count)), percent(bin.Confidence()), percent(bin.Accuracy()))
		rect("acc", y.at(0), y.at(min(bin.Accuracy(), bin.Confidence())))
		kind := "gap"
		if bin.Gap() < 0 {
			kind = "more"
		}
		rect(kind, y.at(bin.Accuracy()), y.at(bin.Confidence()))
		rect("count", count.at(0), count.at(float64(bin.Count)))
		b.WriteString(`</g>`)
	}
	fmt.Fprintf(&b, `<path class="ideal" d="M%d %dL%d %d"/><path class="axis" d="M%d %dH%dM%d %dH%d"/>`,
		left, bottom, right, top, left, bottom, right, left, base, right)
	fmt.Fprintf(&b, `<path class="mark" d="M%.1f %dV%d"/><path class="mark dashed" d="M%.1f %dV%d"/>`,
		x.at(all.Confidence()), base, base-reliabilityH-10, x.at(all.Accuracy()), base, base-reliabilityH-10)
	fmt.Fprintf(&b, `<text class="tick end" x="%d" y="%d">%s</text><text class="tick mid" x="%d" y="%d">confidence</text>`,
		left-7, base-reliabilityH+4, report.Count(int64(most)), (left+right)/2, base+33)
	fmt.Fprintf(&b, `<text class="tick mid" transform="translate(11 %d) rotate(-90)">accuracy</text></svg>`, (top+bottom)/2)
	return template.HTML(b.String())
}

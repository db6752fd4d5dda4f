package report

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Line is one curve of a panel.
type Line struct {
	Name      string // in the legend; empty leaves it out
	Points    []Point
	Low, High []float64 // the spread around each point; nil: none
	Color     int       // index in the palette; equal numbers have the same colour in all panels
	Dashed    bool
	Marks     bool // a dot at each point
	Bars      bool // bars from the bottom instead of a line
}

// Tick is a labelled place on an axis.
type Tick struct {
	Value float64
	Label string
}

// Panel is one plot of a figure. NaN and infinite points, and points not above 0
// where LogY is set, are left out.
type Panel struct {
	Title, X, Y string
	Lines       []Line
	LogY        bool
	FromZero    bool        // starts the y axis at 0
	YRange      *[2]float64 // range of the y axis; nil fits it to the lines
	Ticks       []Tick      // labels of the x axis; nil means integers
}

// Figure is rows of panels. Rows may differ in length.
type Figure struct{ Rows [][]Panel }

// The size of a panel in the PNG is 560x440 pixels.
const (
	panelWidth  = 560 * vg.Inch / plotDPI
	panelHeight = 440 * vg.Inch / plotDPI
)

func (f Figure) size() (w, h vg.Length) {
	columns := 0
	for _, row := range f.Rows {
		columns = max(columns, len(row))
	}
	return vg.Length(columns) * panelWidth, vg.Length(len(f.Rows)) * panelHeight
}

// WritePNG writes the figure as a PNG image. An error comes from the writer or
// from loading the font.
func (f Figure) WritePNG(w io.Writer) error {
	width, height := f.size()
	canvas := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(plotDPI))
	f.draw(canvas)
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

// WriteSVG writes the figure as an SVG document with the same proportions.
func (f Figure) WriteSVG(w io.Writer) error {
	canvas := vgsvg.New(f.size())
	f.draw(canvas)
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return err
	}
	_, err := w.Write(withFonts(b.Bytes()))
	return err
}

// palette is the one by Okabe and Ito, which colour-blind readers can tell apart.
var palette = []color.RGBA{
	{0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x72, 0xb2, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff},
	{0xe6, 0x9f, 0x00, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0x33, 0x33, 0x33, 0xff}, {0x8c, 0x56, 0x4b, 0xff},
}

func (f Figure) draw(canvas vg.CanvasSizer) {
	page := draw.New(canvas)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	top := page.Max.Y
	for i, row := range f.Rows {
		for j, p := range row {
			cell := draw.Canvas{Canvas: page.Canvas, Rectangle: vg.Rectangle{
				Min: vg.Point{X: vg.Length(j) * panelWidth, Y: top - vg.Length(i+1)*panelHeight},
				Max: vg.Point{X: vg.Length(j+1) * panelWidth, Y: top - vg.Length(i)*panelHeight},
			}}
			p.draw(draw.Crop(cell, 6, -10, 6, -8))
		}
	}
}

// visible returns the points of a line that can be drawn, with their spread.
func (p *Panel) visible(l Line) (points []Point, low, high []float64) {
	for i, q := range l.Points {
		if math.IsNaN(q.X) || math.IsNaN(q.Y) || math.Abs(q.Y) > drawable || p.LogY && q.Y <= 0 {
			continue
		}
		lo, hi := q.Y, q.Y
		if l.Low != nil {
			lo, hi = min(lo, l.Low[i]), max(hi, l.High[i])
		}
		if p.LogY && lo <= 0 {
			lo = q.Y
		}
		points, low, high = append(points, q), append(low, lo), append(high, hi)
	}
	return points, low, high
}

func (p *Panel) draw(area draw.Canvas) {
	pl := plot.New()
	dress(pl)
	pl.Title.Text, pl.Title.TextStyle.Font, pl.Title.Padding = p.Title, sans(11), 4
	pl.Y.Tick.Marker = evenTicks{}
	pl.X.Label.Text, pl.Y.Label.Text, pl.Y.Label.TextStyle.Font = p.X, p.Y, sans(11)
	for _, a := range []*plot.Axis{&pl.X, &pl.Y} {
		a.Tick.Label.Font = sans(9)
	}
	if p.Ticks != nil {
		pl.X.Tick.Marker = p.ticks()
		letters := 0
		for _, t := range p.Ticks {
			letters += len(t.Label) + 1
		}
		if letters > 36 { // more letters in a row would touch
			pl.X.Tick.Label.Rotation = math.Pi / 2
			pl.X.Tick.Label.XAlign, pl.X.Tick.Label.YAlign = 1.08*draw.XRight, draw.YCenter
		}
	}
	key := plot.NewLegend()
	key.Top, key.Left, key.ThumbnailWidth, key.Padding = true, true, 20, 1
	key.TextStyle.Font = sans(9)
	seen := p.add(pl, &key)
	p.fit(pl, seen)
	pl.Draw(area)
	if p.named() {
		drawLegend(key, pl.DataCanvas(area), p.covered(seen))
	}
}

func (p *Panel) named() bool {
	for _, l := range p.Lines {
		if l.Name != "" {
			return true
		}
	}
	return false
}

// add puts the lines on the plot, with the spreads below them, and returns what
// the axes must show.
func (p *Panel) add(pl *plot.Plot, key *plot.Legend) figure {
	seen := figure{xmin: math.Inf(1), xmax: math.Inf(-1), ymin: math.Inf(1), ymax: math.Inf(-1)}
	var above []plot.Plotter
	for _, l := range p.Lines {
		points, low, high := p.visible(l)
		c := palette[l.Color%len(palette)]
		style := draw.LineStyle{Color: c, Width: 1.5}
		if l.Dashed {
			style.Width, style.Dashes = 1, []vg.Length{3, 2}
		}
		xys := make(plotter.XYs, len(points))
		for i, q := range points {
			xys[i] = plotter.XY{X: q.X, Y: q.Y}
			seen.xmin, seen.xmax = min(seen.xmin, q.X), max(seen.xmax, q.X)
			seen.ymin, seen.ymax = min(seen.ymin, low[i]), max(seen.ymax, high[i])
		}
		seen.series = append(seen.series, Series{Name: l.Name, Points: points})
		line := &plotter.Line{XYs: xys, LineStyle: style}
		dots := &plotter.Scatter{XYs: xys, GlyphStyle: draw.GlyphStyle{Color: c, Radius: 2.2, Shape: draw.CircleGlyph{}}}
		if l.Name != "" {
			if l.Marks {
				key.Add(l.Name, line, dots)
			} else {
				key.Add(l.Name, line)
			}
		}
		if len(points) == 0 {
			continue
		}
		if l.Bars {
			above = append(above, bars{xys, c})
			continue
		}
		if l.Low != nil {
			pl.Add(band{points, low, high, c})
		}
		above = append(above, line)
		if l.Marks || len(points) == 1 {
			above = append(above, dots)
		}
	}
	pl.Add(above...)
	return seen
}

// fit sets the ranges of the axes.
func (p *Panel) fit(pl *plot.Plot, seen figure) {
	if seen.xmin > seen.xmax {
		seen.xmin, seen.xmax, seen.ymin, seen.ymax = 0, 1, 0.1, 1
	}
	room := 0.04 * (seen.xmax - seen.xmin)
	for _, l := range p.Lines {
		if l.Bars {
			room = max(room, 0.5)
		}
	}
	if room == 0 {
		room = 0.5
	}
	pl.X.Min, pl.X.Max = seen.xmin-room, seen.xmax+room
	switch {
	case p.YRange != nil:
		pl.Y.Min, pl.Y.Max = p.YRange[0], p.YRange[1]
	case p.LogY:
		pl.Y.Scale, pl.Y.Tick.Marker = plot.LogScale{}, powerTicks{}
		pl.Y.Min, pl.Y.Max = seen.ymin/1.25, seen.ymax*1.25
	default:
		if p.FromZero {
			seen.ymin, seen.ymax = min(0, seen.ymin), max(0, seen.ymax)
		}
		margin := 0.06 * (seen.ymax - seen.ymin)
		if margin == 0 {
			margin = max(0.05*math.Abs(seen.ymax), 1e-6)
		}
		pl.Y.Min, pl.Y.Max = seen.ymin-margin, seen.ymax+margin
		if p.FromZero && seen.ymin >= 0 {
			pl.Y.Min = 0
		}
	}
}

// covered is what the legend should leave free, with y values as they are drawn.
func (p *Panel) covered(seen figure) figure {
	if p.YRange != nil {
		seen.ymin, seen.ymax = p.YRange[0], p.YRange[1]
	}
	if !p.LogY {
		if p.FromZero {
			seen.ymin = 0
		}
		return seen
	}
	seen.ymin, seen.ymax = math.Log(seen.ymin), math.Log(seen.ymax)
	for i, s := range seen.series {
		moved := make([]Point, len(s.Points))
		for j, q := range s.Points {
			moved[j] = Point{q.X, math.Log(q.Y)}
		}
		seen.series[i].Points = moved
	}
	return seen
}

func (p *Panel) ticks() plot.ConstantTicks {
	var out plot.ConstantTicks
	for _, t := range p.Ticks {
		out = append(out, plot.Tick{Value: t.Value, Label: t.Label})
	}
	return out
}

// band fills the spread around a line.
type band struct {
	points    []Point
	low, high []float64
	color     color.RGBA
}

func (b band) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	light := color.NRGBA{b.color.R, b.color.G, b.color.B, 0x30}
	if len(b.points) == 1 {
		at := x(b.points[0].X)
		c.StrokeLines(draw.LineStyle{Color: light, Width: 6}, []vg.Point{{X: at, Y: y(b.low[0])}, {X: at, Y: y(b.high[0])}})
		return
	}
	var outline []vg.Point
	for i, q := range b.points {
		outline = append(outline, vg.Point{X: x(q.X), Y: y(b.high[i])})
	}
	for i := len(b.points) - 1; i >= 0; i-- {
		outline = append(outline, vg.Point{X: x(b.points[i].X), Y: y(b.low[i])})
	}
	c.FillPolygon(light, outline)
}

// bars stand on the bottom of the panel, or on 0 where 0 is visible.
type bars struct {
	plotter.XYs
	color color.RGBA
}

func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	foot := max(p.Y.Min, min(0, p.Y.Max))
	for _, q := range b.XYs {
		l, r, at, base := x(q.X-0.38), x(q.X+0.38), y(q.Y), y(foot)
		c.FillPolygon(b.color, []vg.Point{{X: l, Y: base}, {X: l, Y: at}, {X: r, Y: at}, {X: r, Y: base}})
	}
}

// evenTicks are four to eight round numbers.
type evenTicks struct{}

func (evenTicks) Ticks(lo, hi float64) []plot.Tick {
	if !(hi > lo) {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10(hi-lo))-1)
	for i := 0; (hi-lo)/step > 8; i++ {
		step *= []float64{2, 2.5, 2}[i%3]
	}
	var out []plot.Tick
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi+1e-9*step; i++ {
		v := i*step + 0 // +0 turns -0 into 0
		out = append(out, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 6, 64)})
	}
	return out
}

// powerTicks mark powers of ten, and also 2 and 5 times them where there are few. Where
// there are still few, as on less than a decade, they mark round numbers at even steps.
type powerTicks struct{}

func (powerTicks) Ticks(lo, hi float64) []plot.Tick {
	if !(lo > 0 && hi > lo) {
		return nil
	}
	factors := []float64{1}
	if hi/lo < 1000 {
		factors = []float64{1, 2, 5}
	}
	var out []plot.Tick
	for e := math.Floor(math.Log10(lo)); e <= math.Log10(hi); e++ {
		for _, f := range factors {
			if v := f * math.Pow(10, e); v >= lo*(1-1e-9) && v <= hi*(1+1e-9) {
				out = append(out, plot.Tick{Value: v, Label: fmt.Sprintf("%.3g", v)})
			}
		}
	}
	if len(out) < 3 {
		return evenTicks{}.Ticks(lo, hi)
	}
	return out
}

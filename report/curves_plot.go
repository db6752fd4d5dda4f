package report

import (
	"bytes"
	"image/color"
	"io"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The image is 6 by 4.27 inches: 900x640 pixels in the PNG.
const (
	plotWidth  = 900 * vg.Inch / plotDPI
	plotHeight = 640 * vg.Inch / plotDPI
	plotDPI    = 150
)

// WritePNG writes the curves as an image of 900x640 pixels. An error comes from
// the writer or from loading the font.
func (c *Curves) WritePNG(w io.Writer) error {
	canvas := vgimg.NewWith(vgimg.UseWH(plotWidth, plotHeight), vgimg.UseDPI(plotDPI))
	if err := c.draw(canvas); err != nil {
		return err
	}
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

// WriteSVG writes the curves as an SVG document with the same proportions. An
// error comes from the writer or from loading the font.
func (c *Curves) WriteSVG(w io.Writer) error {
	canvas := vgsvg.New(plotWidth, plotHeight)
	if err := c.draw(canvas); err != nil {
		return err
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return err
	}
	_, err := w.Write(withFonts(b.Bytes()))
	return err
}

// withFonts adds fallback fonts to the one that the canvas names, which the
// reader's machine may lack.
func withFonts(svg []byte) []byte {
	return bytes.ReplaceAll(svg, []byte(`style="font-family:Liberation Sans;`), []byte(`style="font-family:Liberation Sans,Arial,sans-serif;`))
}

// styles are the line styles of d2l's Animator: '-', 'm--', 'g-.', 'r:'.
func styles() []draw.LineStyle {
	const width = vg.Length(1.6)
	return []draw.LineStyle{
		{Color: color.RGBA{0x1f, 0x77, 0xb4, 0xff}, Width: width},
		{Color: color.RGBA{0xbf, 0x00, 0xbf, 0xff}, Width: width, Dashes: []vg.Length{6, 2.6}},
		{Color: color.RGBA{0x00, 0x80, 0x00, 0xff}, Width: width, Dashes: []vg.Length{10, 2.6, 1.6, 2.6}},
		{Color: color.RGBA{0xd6, 0x27, 0x28, 0xff}, Width: width, Dashes: []vg.Length{1.6, 2.6}},
	}
}

// draw draws the curves on a canvas of the image's size.
func (c *Curves) draw(canvas vg.CanvasSizer) error {
	f := c.plotFigure()
	p := plot.New()
	dress(p)

	key := plot.NewLegend()
	key.Top, key.Left = true, true
	key.ThumbnailWidth = 26
	key.Padding = 2
	key.TextStyle.Font = sans(10)

	all := styles()
	for i, s := range f.series {
		style := all[i%len(all)]
		line := &plotter.Line{LineStyle: style}
		key.Add(s.Name, line)
		if len(s.Points) == 0 {
			continue
		}
		for _, q := range s.Points {
			line.XYs = append(line.XYs, plotter.XY{X: q.X, Y: q.Y})
		}
		p.Add(line)
		if f.visible(s) == 1 { // a line of one point has no length
			last := line.XYs[len(line.XYs)-1:]
			dot := draw.GlyphStyle{Color: style.Color, Radius: 3, Shape: draw.CircleGlyph{}}
			p.Add(&plotter.Scatter{XYs: last, GlyphStyle: dot})
		}
	}

	fitAxes(p, f) // Add has widened the axes to all the data

	page := draw.New(canvas)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	area := draw.Crop(page, 6, -14, 6, -10)
	p.Draw(area)
	drawLegend(key, p.DataCanvas(area), f)
	return nil
}

// fewEpochs is the longest run whose first epoch is a large part of the plot.
const fewEpochs = 4

// plotFigure starts the x axis at 1 as d2l does. It starts at 0 in a run of few
// epochs, or one that ended in its first epoch, where too little would be visible.
func (c *Curves) plotFigure() figure {
	f := c.figure(1)
	if f.xmax > fewEpochs {
		for _, s := range f.series {
			if n := len(s.Points); n > 0 && s.Points[n-1].X > 1 {
				return f
			}
		}
	}
	return c.figure(0)
}

func fitAxes(p *plot.Plot, f figure) {
	margin := 0.05 * (f.ymax - f.ymin)
	p.X.Min, p.X.Max = f.xmin, f.xmax
	p.Y.Min, p.Y.Max = f.ymin-margin, f.ymax+margin
}

func dress(p *plot.Plot) {
	p.X.Label.Text = "epoch"
	p.X.Label.TextStyle.Font = sans(11)
	p.X.Tick.Marker = epochTicks{}
	p.Y.Tick.Marker = labelledTicks{}
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Padding = 0
		a.Width = 0 // the frame is drawn instead
		a.Tick.Width = 0.8
		a.Tick.Length = 3
		a.Tick.Label.Font = sans(10)
	}
	grid := plotter.NewGrid()
	line := draw.LineStyle{Color: color.RGBA{0xd4, 0xd4, 0xd4, 0xff}, Width: 0.6}
	grid.Vertical, grid.Horizontal = line, line
	p.Add(grid, frame{draw.LineStyle{Color: color.Black, Width: 0.8}})
}

func sans(points float64) font.Font {
	return font.Font{Typeface: plot.DefaultFont.Typeface, Variant: "Sans", Size: font.Length(points)}
}

// frame draws the box around the data.
type frame struct{ draw.LineStyle }

func (f frame) Plot(c draw.Canvas, _ *plot.Plot) {
	a, b := c.Min, c.Max
	c.StrokeLines(f.LineStyle, []vg.Point{a, {X: b.X, Y: a.Y}, b, {X: a.X, Y: b.Y}, a})
}

// epochTicks marks whole epochs, at most about ten of them; an axis shorter
// than two epochs has ticks between them.
type epochTicks struct{}

func (epochTicks) Ticks(lo, hi float64) []plot.Tick {
	if hi-lo < 2 {
		var out []plot.Tick
		for i := math.Ceil(lo*5 - 1e-9); i <= hi*5+1e-9; i++ {
			out = append(out, plot.Tick{Value: i / 5, Label: strconv.FormatFloat(math.Abs(i)/5, 'g', 3, 64)})
		}
		return out
	}
	step := 1.0
	for i := 0; (hi-lo)/step > 10; i++ {
		step *= []float64{2, 2.5, 2}[i%3]
	}
	var out []plot.Tick
	for v := math.Ceil(lo/step) * step; v <= hi; v += step {
		out = append(out, plot.Tick{Value: v, Label: strconv.FormatFloat(v+0, 'g', -1, 64)}) // +0 turns -0 into 0
	}
	return out
}

// drawLegend draws the legend where it covers least of the curves.
func drawLegend(key plot.Legend, c draw.Canvas, f figure) {
	const inset, border = vg.Length(5), vg.Length(6)
	r := key.Rectangle(c)
	size := vg.Point{X: r.Max.X - r.Min.X + 2*border, Y: r.Max.Y - r.Min.Y + 2*border}
	at := minCovered(f, c, size, inset)
	box := vg.Rectangle{Min: at, Max: at.Add(size)}
	c.SetColor(color.NRGBA{0xff, 0xff, 0xff, 0xd8})
	c.Fill(box.Path())
	c.StrokeLines(draw.LineStyle{Color: color.RGBA{0xc0, 0xc0, 0xc0, 0xff}, Width: 0.8},
		[]vg.Point{box.Min, {X: box.Max.X, Y: box.Min.Y}, box.Max, {X: box.Min.X, Y: box.Max.Y}, box.Min})
	key.Draw(draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
		Min: box.Min.Add(vg.Point{X: border, Y: border}),
		Max: box.Max.Sub(vg.Point{X: border, Y: border - 1}), // Draw leaves room for a descender above
	}})
}

// minCovered returns the lower left corner for a box of the given size in
// the data area: out of nine rows and three columns of candidate places, the
// one that covers the fewest points of the curves, preferring the right side.
func minCovered(f figure, c draw.Canvas, size vg.Point, inset vg.Length) vg.Point {
	room := c.Rectangle
	spanX := room.Max.X - room.Min.X - 2*inset - size.X
	spanY := room.Max.Y - room.Min.Y - 2*inset - size.Y
	trail := trail(f, room)
	best, fewest := vg.Point{X: room.Max.X - inset - size.X, Y: room.Min.Y + inset}, math.MaxInt
	for _, fx := range []vg.Length{1, 0.5, 0} {
		for _, fy := range []vg.Length{0.5, 0.625, 0.375, 0.75, 0.25, 0.875, 0.125, 1, 0} {
			at := vg.Point{X: room.Min.X + inset + fx*spanX, Y: room.Min.Y + inset + fy*spanY}
			n := 0
			for _, q := range trail {
				if q.X > at.X-3 && q.X < at.X+size.X+3 && q.Y > at.Y-3 && q.Y < at.Y+size.Y+3 {
					n++
				}
			}
			if n < fewest {
				best, fewest = at, n
			}
		}
	}
	return best
}

// trail returns the curves as closely spaced points on the canvas.
func trail(f figure, room vg.Rectangle) []vg.Point {
	const steps = 200
	margin := 0.05 * (f.ymax - f.ymin)
	lo, span := f.ymin-margin, f.ymax-f.ymin+2*margin
	var out []vg.Point
	for _, s := range f.series {
		for i, y := range sample(shift(s.Points, f.xmin), f.xmax-f.xmin, steps) {
			if !math.IsNaN(y) {
				out = append(out, vg.Point{
					X: room.Min.X + vg.Length(i)/(steps-1)*(room.Max.X-room.Min.X),
					Y: room.Min.Y + vg.Length((y-lo)/span)*(room.Max.Y-room.Min.Y),
				})
			}
		}
	}
	return out
}

func shift(points []Point, by float64) []Point {
	out := make([]Point, len(points))
	for i, p := range points {
		out[i] = Point{p.X - by, p.Y}
	}
	return out
}

// labelledTicks are gonum's ticks without the small ones between the labels.
type labelledTicks struct{}

func (labelledTicks) Ticks(lo, hi float64) []plot.Tick {
	var out []plot.Tick
	for _, t := range (plot.DefaultTicks{}).Ticks(lo, hi) {
		if t.Label != "" {
			out = append(out, t)
		}
	}
	return out
}

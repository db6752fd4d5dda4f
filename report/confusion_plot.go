package report

import (
	"image/color"
	"io"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Matrices of more classes have no numbers in their cells, and those of many more no names.
const (
	mostCounts = 25
	mostNames  = 60
)

// WriteConfusionPNG writes a confusion matrix as a PNG image: a row is a true class and a column
// a predicted one, and a cell is the darker the larger its share of the row. counts is
// [true][predicted]. It panics unless counts is square with one row and column per class. An
// error comes from the writer.
func WriteConfusionPNG(w io.Writer, classes []string, counts [][]int) error {
	checkCounts("WriteConfusionPNG", classes, counts)
	n := len(classes)
	side := min(max(vg.Length(n)*0.42*vg.Inch, 2.4*vg.Inch), 11*vg.Inch)
	longest := 0
	for _, name := range classes {
		longest = max(longest, len([]rune(name)))
	}
	margin := vg.Length(min(longest, 24))*4.6 + 0.7*vg.Inch
	canvas := vgimg.NewWith(vgimg.UseWH(side+margin, side+margin), vgimg.UseDPI(plotDPI))
	p := plot.New()
	p.Title.Text, p.Title.TextStyle.Font, p.Title.Padding = "true class by row, predicted class by column", sans(9), 6
	p.X.Padding, p.Y.Padding = 0, 0
	p.Add(grid(counts))
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -0.5, float64(n)-0.5, -0.5, float64(n)-0.5
	across, down := make(plot.ConstantTicks, n), make(plot.ConstantTicks, n)
	for i, name := range classes {
		if n > mostNames {
			name = ""
		}
		if runes := []rune(name); len(runes) > 24 {
			name = string(runes[:23]) + "…"
		}
		across[i], down[i] = plot.Tick{Value: float64(i), Label: name}, plot.Tick{Value: float64(n - 1 - i), Label: name}
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = across, down
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Tick.Label.Font, a.Tick.Length, a.Width = sans(8), 2, 0
	}
	p.X.Tick.Label.Rotation = math.Pi / 2
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = 1.08*draw.XRight, draw.YCenter
	page := draw.New(canvas)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	p.Draw(draw.Crop(page, 8, -10, 8, -6))
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

// grid draws the cells of a confusion matrix, the first row at the top.
type grid [][]int

func (c grid) Plot(area draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&area)
	n := len(c)
	text := draw.TextStyle{Font: sans(8), XAlign: draw.XCenter, YAlign: draw.YCenter, Handler: plot.DefaultTextHandler}
	for i, row := range c {
		all := 0
		for _, count := range row {
			all += count
		}
		for j, count := range row {
			box := vg.Rectangle{
				Min: vg.Point{X: x(float64(j) - 0.5), Y: y(float64(n-1-i) - 0.5)}, Max: vg.Point{X: x(float64(j) + 0.5), Y: y(float64(n-1-i) + 0.5)},
			}
			share := ratio(float64(count), all)
			area.SetColor(shade(share, i == j))
			area.Fill(box.Path())
			if n > mostCounts || count == 0 {
				continue
			}
			text.Color = color.Black
			if share > 0.6 {
				text.Color = color.White
			}
			area.FillText(text, vg.Point{X: x(float64(j)), Y: y(float64(n - 1 - i))}, strconv.Itoa(count))
		}
	}
	area.StrokeLines(draw.LineStyle{Color: color.Gray{0x80}, Width: 0.5}, []vg.Point{
		area.Min, {X: area.Max.X, Y: area.Min.Y}, area.Max, {X: area.Min.X, Y: area.Max.Y}, area.Min,
	})
}

// shade is the colour of a share: blue where the class was found, red where it was missed. The
// square root makes rare mistakes visible.
func shade(share float64, hit bool) color.Color {
	deep := color.RGBA{0xb4, 0x1e, 0x1e, 0xff}
	if hit {
		deep = color.RGBA{0x1f, 0x4e, 0x8c, 0xff}
	} else {
		share = math.Sqrt(share)
	}
	mix := func(to uint8) uint8 { return uint8(255 - share*(255-float64(to)) + 0.5) }
	return color.RGBA{mix(deep.R), mix(deep.G), mix(deep.B), 0xff}
}

var _ plot.Plotter = grid(nil)

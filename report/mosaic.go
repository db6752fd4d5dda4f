package report

import (
	"image"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/residual-ml/residual/tensor"
)

// Tile is an image of a Mosaic with a line of text below it. A wrong one has red text.
type Tile struct {
	Image image.Image
	Text  string
	Wrong bool
}

// Mosaic is a figure of images in rows, such as those of a batch.
type Mosaic struct {
	Title string
	Tiles []Tile
}

// The sizes of a mosaic in the PNG: a tile is 160 pixels wide, and there are 8 in a row.
const (
	tileSide    = 160 * vg.Inch / plotDPI
	tileText    = 26 * vg.Inch / plotDPI
	tileGap     = 8 * vg.Inch / plotDPI
	tilesInRow  = 8
	titleHeight = 36 * vg.Inch / plotDPI
)

// WritePNG writes the mosaic as a PNG image. An image is scaled to the width of a tile, with
// its proportions; the pixels of a small one are squares. An error comes from the writer.
func (m Mosaic) WritePNG(w io.Writer) error {
	if len(m.Tiles) == 0 {
		panic(tensor.Misusef("report: Mosaic.WritePNG: no tiles"))
	}
	columns := min(len(m.Tiles), tilesInRow)
	rows := (len(m.Tiles) + columns - 1) / columns
	width := vg.Length(columns)*(tileSide+tileGap) + tileGap
	height := titleHeight + vg.Length(rows)*(tileSide+tileText+tileGap)
	canvas := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(plotDPI))
	page := draw.New(canvas)
	page.SetColor(color.White)
	page.Fill(page.Rectangle.Path())
	line := func(size vg.Length, c color.Color) draw.TextStyle {
		return draw.TextStyle{Color: c, Font: sans(float64(size)), XAlign: draw.XCenter, YAlign: draw.YCenter, Handler: plot.DefaultTextHandler}
	}
	title := line(9, color.Black)
	page.FillText(title, vg.Point{X: width / 2, Y: height - titleHeight/2}, fitted(title, m.Title, width-2*tileGap))
	for i, t := range m.Tiles {
		left := tileGap + vg.Length(i%columns)*(tileSide+tileGap)
		top := height - titleHeight - vg.Length(i/columns)*(tileSide+tileText+tileGap)
		page.DrawImage(within(t.Image.Bounds(), left, top), enlargedTo(t.Image, int(tileSide.Dots(plotDPI))))
		style := line(6.5, color.Black)
		if t.Wrong {
			style.Color = color.RGBA{0xc0, 0x10, 0x10, 0xff}
		}
		page.FillText(style, vg.Point{X: left + tileSide/2, Y: top - tileSide - tileText/2}, fitted(style, t.Text, tileSide+tileGap/2))
	}
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

// within returns the middle of a tile that has the proportions of an image.
func within(b image.Rectangle, left, top vg.Length) vg.Rectangle {
	w, h := tileSide, tileSide
	if b.Dx() > b.Dy() {
		h = w * vg.Length(b.Dy()) / vg.Length(b.Dx())
	} else if b.Dy() > 0 {
		w = h * vg.Length(b.Dx()) / vg.Length(b.Dy())
	}
	at := vg.Point{X: left + (tileSide-w)/2, Y: top - (tileSide+h)/2}
	return vg.Rectangle{Min: at, Max: at.Add(vg.Point{X: w, Y: h})}
}

// enlargedTo shows a pixel of a small image as a square of several pixels, so that scaling to
// about so many pixels does not blur it.
func enlargedTo(img image.Image, pixels int) image.Image {
	b := img.Bounds()
	times := pixels / max(b.Dx(), b.Dy(), 1)
	if times < 2 {
		return img
	}
	out := image.NewRGBA(image.Rect(0, 0, b.Dx()*times, b.Dy()*times))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.Set(x, y, img.At(b.Min.X+x/times, b.Min.Y+y/times))
		}
	}
	return out
}

// fitted shortens a text that is wider than width.
func fitted(style draw.TextStyle, text string, width vg.Length) string {
	face := font.DefaultCache.Lookup(style.Font, style.Font.Size)
	runes := []rune(text)
	for n := len(runes); n > 0 && face.Width(text) > width; n-- {
		text = string(runes[:n-1]) + "…"
	}
	return text
}

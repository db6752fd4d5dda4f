package report

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"
)

// A mosaic has its images in rows, the pixels of a small one as squares, and text below each.
func TestMosaic(t *testing.T) {
	m := Mosaic{Title: "a title that is " + strings.Repeat("long ", 100)}
	for i := range 10 {
		g := image.NewGray(image.Rect(0, 0, 4, 2))
		g.SetGray(1, 0, color.Gray{200})
		m.Tiles = append(m.Tiles, Tile{g, strings.Repeat("x", 5*i), i%2 == 1})
	}
	var b bytes.Buffer
	if err := m.WritePNG(&b); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds().Size(); got.X < 8*160 || got.X > 8*170+10 || got.Y < 2*180 || got.Y > 2*200+40 {
		t.Errorf("an image of %v", got)
	}
	grey := func(x, y int) uint8 { return color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y }
	// The first tile begins 8 pixels from the left and, being half as high as wide, 40 below the title.
	if light, dark, edge := grey(8+60, 36+40+20), grey(8+20, 36+40+20), grey(8+60, 36+20); light != 200 || dark != 0 || edge != 255 {
		t.Errorf("pixels %d, %d and %d, want 200, 0 and 255", light, dark, edge)
	}
	red, black := 0, 0
	for x := range img.Bounds().Dx() {
		for y := 36 + 160; y < 36+160+26; y++ {
			switch r, g, _, _ := img.At(x, y).RGBA(); {
			case r > 0xa000 && g < 0x8000:
				red++
			case r < 0x8000:
				black++
			}
		}
	}
	if red == 0 || black == 0 {
		t.Errorf("%d red and %d black pixels of text", red, black)
	}
}

// The cells of a confusion matrix are the darker the larger their share is, from the first row at
// the top; many classes still give a picture.
func TestConfusionPNG(t *testing.T) {
	var b bytes.Buffer
	if err := WriteConfusionPNG(&b, []string{"one", "two", "a class with a name that is very long indeed"}, [][]int{{9, 1, 0}, {0, 5, 5}, {0, 0, 0}}); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	blue, red := image.Rectangle{}, image.Rectangle{}
	s := img.Bounds()
	for y := range s.Dy() {
		for x := range s.Dx() {
			switch r, g, b, _ := img.At(x, y).RGBA(); {
			case b > r+0x2800 && b > g+0x1000:
				blue = blue.Union(image.Rect(x, y, x+1, y+1))
			case r > b+0x2800 && r > g+0x2800:
				red = red.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if blue.Empty() || red.Empty() || blue.Min.Y > red.Min.Y || blue.Min.X >= red.Min.X || red.Max.X <= blue.Max.X {
		t.Errorf("hits within %v, mistakes within %v", blue, red)
	}
	many := make([][]int, 100)
	for i := range many {
		many[i] = make([]int, 100)
		many[i][i] = 3
	}
	b.Reset()
	if err := WriteConfusionPNG(&b, make([]string, 100), many); err != nil || b.Len() == 0 {
		t.Errorf("%d bytes for 100 classes (%v)", b.Len(), err)
	}
}

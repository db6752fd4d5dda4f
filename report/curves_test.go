package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// falling is a run of ten epochs: the loss falls from 2 to 0.2, the
// accuracies rise.
func falling() *Curves {
	c := NewCurves(10)
	for i := 1; i <= 50; i++ {
		x := float64(i) / 5
		c.Add(TrainLoss, x, 2-0.18*x)
		c.Add(TrainAcc, x, 0.5+0.04*x)
		if i%5 == 0 {
			c.Add(TestAcc, x, 0.3+0.04*x)
		}
	}
	return c
}

func TestCurvesKeepsSeries(t *testing.T) {
	c := NewCurves(2)
	c.Add(TestAcc, 1, 0.5)
	c.Add("lr", 1, 0.05)
	got := c.Series()
	want := []Series{{Name: TrainLoss}, {Name: TrainAcc},
		{Name: TestAcc, Points: []Point{{1, 0.5}}}, {Name: "lr", Points: []Point{{1, 0.05}}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	got[2].Points[0].Y = 9
	if c.Series()[2].Points[0].Y != 0.5 {
		t.Error("Series hands out its own points")
	}
}

func TestTerminalChart(t *testing.T) {
	got := falling().Terminal(60, 12, false)
	want := strings.TrimPrefix(`
 1.96 ┤╶───╮
 1.72 ┤    ╰──────╮
 1.47 ┤           ╰──────╮
 1.23 ┤                  ╰──────╮
 0.98 ┤                         ╰──────╮            ++++++
 0.74 ┤              ++++++++++++++++++++++++++•••••••••••
 0.49 ┤++++++++•••••••••••••••••••••••••••••••••─────╮
 0.25 ┤    •••••                                     ╰────
 0.00 ┤
      └┬────┬────┬────┬────┬─────┬────┬────┬────┬────┬────┬
       0    1    2    3    4     5    6    7    8    9   10
     epoch   ── train loss   ++ train acc   •• test acc`, "\n")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// The chart fits into the given size, whatever the numbers.
func TestTerminalChartFits(t *testing.T) {
	runs := map[string]*Curves{"falling": falling(), "empty": NewCurves(3), "none": NewCurves(0, "")}
	for name, y := range map[string]float64{
		"zero": 0, "negative": -0.7, "tiny": 1e-9, "huge": 1e29, "beyond": 1e300, "minus huge": -1e29,
		"nan": math.NaN(), "inf": math.Inf(1),
	} {
		c := NewCurves(7)
		c.Add(TrainLoss, 0.2, 1)
		c.Add(TrainLoss, 0.4, y)
		c.Add(TestAcc, 7, y/3)
		runs[name] = c
	}
	for i := 1; i < 40; i++ {
		c := NewCurves(4)
		c.Add(TrainLoss, 1, -0.037*float64(i))
		c.Add(TrainLoss, 2, 0.91*float64(i%7))
		runs[fmt.Sprint("below zero ", i)] = c
		if got := c.Terminal(40, 12, false); !strings.Contains(got, " 0.00 ") || strings.Contains(got, "-0.00") {
			t.Errorf("no zero on the axis:\n%s", got)
		}
	}
	for name, c := range runs {
		for _, width := range []int{30, 41, 80, 200} {
			for _, height := range []int{7, 12, 25} {
				lines := strings.Split(c.Terminal(width, height, true), "\n")
				if len(lines) != height {
					t.Errorf("%s at %dx%d: %d lines", name, width, height, len(lines))
				}
				for _, l := range lines {
					if textWidth(l) > width {
						t.Errorf("%s at %dx%d: line of %d columns: %q", name, width, height, textWidth(l), l)
					}
				}
			}
		}
	}
	if got := falling().Terminal(29, 20, false) + falling().Terminal(80, 6, false); got != "" {
		t.Errorf("too small a room gives %q", got)
	}
}

func TestTerminalChartColor(t *testing.T) {
	c := falling()
	if strings.Contains(c.Terminal(80, 20, false), "\x1b") {
		t.Error("escape sequences without colour")
	}
	colored := c.Terminal(80, 20, true)
	for _, e := range []string{"\x1b[94m", "\x1b[95m", "\x1b[32m"} {
		if !strings.Contains(colored, e) {
			t.Errorf("no %q in the coloured chart", e)
		}
	}
	if withoutColor(colored) != c.Terminal(80, 20, false) {
		t.Error("colour changes the text")
	}
}

func TestTerminalChartShowsOnePoint(t *testing.T) {
	c := NewCurves(1)
	c.Add(TrainLoss, 0.2, math.NaN())
	c.Add(TestAcc, 1, 0.5)
	chart, _, _ := strings.Cut(c.Terminal(60, 12, false), "└")
	if strings.Count(chart, "•") == 0 || strings.Contains(chart, "─") {
		t.Errorf("want one point and no line:\n%s", chart)
	}
}

func decode(t *testing.T, c *Curves) image.Image {
	t.Helper()
	var b bytes.Buffer
	if err := c.WritePNG(&b); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// has says whether a colour close to c occurs in the rectangle.
func has(img image.Image, r image.Rectangle, c color.RGBA) bool {
	near := func(a uint32, b uint8) bool { return math.Abs(float64(a>>8)-float64(b)) < 24 }
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if R, G, B, _ := img.At(x, y).RGBA(); near(R, c.R) && near(G, c.G) && near(B, c.B) {
				return true
			}
		}
	}
	return false
}

var (
	blue    = color.RGBA{0x1f, 0x77, 0xb4, 0xff}
	magenta = color.RGBA{0xbf, 0x00, 0xbf, 0xff}
	green   = color.RGBA{0x00, 0x80, 0x00, 0xff}
)

func TestPNG(t *testing.T) {
	img := decode(t, falling())
	if got := img.Bounds().Size(); got != image.Pt(900, 640) {
		t.Fatalf("image of %v, want 900x640", got)
	}
	// Left half: the loss is above 1.1 and the accuracies are below 0.75.
	upper, lower := image.Rect(80, 30, 400, 290), image.Rect(80, 340, 400, 560)
	for _, c := range []struct {
		name  string
		where image.Rectangle
		color color.RGBA
		want  bool
	}{
		{"loss above", upper, blue, true},
		{"loss below", lower, blue, false},
		{"train acc above", upper, magenta, false},
		{"train acc below", lower, magenta, true},
		{"test acc above", upper, green, false},
		{"test acc below", lower, green, true},
		{"axis", image.Rect(40, 560, 860, 590), color.RGBA{0, 0, 0, 0xff}, true},
		{"epoch label", image.Rect(420, 600, 500, 635), color.RGBA{0, 0, 0, 0xff}, true},
		{"grid", upper, color.RGBA{0xd4, 0xd4, 0xd4, 0xff}, true},
		{"margin", image.Rect(880, 0, 900, 640), color.RGBA{0xff, 0xff, 0xff, 0xff}, true},
	} {
		if got := has(img, c.where, c.color); got != c.want {
			t.Errorf("%s: colour there is %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPNGShowsOnePoint(t *testing.T) {
	c := NewCurves(10)
	c.Add(TrainLoss, 3, math.Inf(1))
	c.Add(TestAcc, 5, 0.5)
	img := decode(t, c)
	left := image.Rect(80, 30, 660, 560) // without the legend, to its right
	if !has(img, left, green) {
		t.Error("a single point is not seen")
	}
	if has(img, left, blue) {
		t.Error("an infinite loss is drawn")
	}
}

func TestPNGOfAnything(t *testing.T) {
	for _, epochs := range []int{0, 1, 2, 3, 97, 5000} {
		for _, y := range []float64{0, -3, 0.5, 1e-300, 1e29, -1e29, 1e300, math.NaN(), math.Inf(-1)} {
			c := NewCurves(epochs)
			c.Add(TrainLoss, 0.2, y)
			c.Add(TrainLoss, 0.4, 1)
			c.Add(TestAcc, float64(epochs), y)
			c.Add("x < & > \"", math.NaN(), 1)
			if err := c.WriteSVG(io.Discard); err != nil {
				t.Errorf("%d epochs, y %g: %v", epochs, y, err)
			}
		}
	}
	decode(t, NewCurves(10))
}

func TestSVG(t *testing.T) {
	var b bytes.Buffer
	c := falling()
	c.Add("a<b & c", 1, 1)
	if err := c.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		if s, ok := token.(xml.CharData); ok {
			texts = append(texts, strings.TrimSpace(string(s)))
		}
	}
	all := "|" + strings.Join(texts, "|") + "|"
	for _, want := range []string{"epoch", TrainLoss, TrainAcc, TestAcc, "1", "10", "a<b & c"} {
		if !strings.Contains(all, "|"+want+"|") {
			t.Errorf("no text %q in %q", want, all)
		}
	}
	for _, dashes := range []string{"6,2.6", "10,2.6,1.6,2.6"} {
		if n := strings.Count(b.String(), "stroke-dasharray:"+dashes+`"`); n != 2 {
			t.Errorf("dashes %s drawn %d times, want a curve and its legend", dashes, n)
		}
	}
	var x float64
	if at := regexp.MustCompile(`<text x="([0-9.]+)"[^>]*>1</text>`).FindStringSubmatch(b.String()); at == nil {
		t.Error("no tick at epoch 1")
	} else if fmt.Sscan(at[1], &x); x > 40 {
		t.Errorf("epoch 1 is at %g points, want the left edge", x)
	}
	if !strings.Contains(b.String(), "font-family:Liberation Sans,Arial,sans-serif;") {
		t.Error("no second choice of font")
	}
}

func TestPlotErrors(t *testing.T) {
	full := errors.New("disk full")
	if err := falling().WritePNG(failing{full}); !errors.Is(err, full) {
		t.Errorf("WritePNG returned %v", err)
	}
	if err := falling().WriteSVG(failing{full}); !errors.Is(err, full) {
		t.Errorf("WriteSVG returned %v", err)
	}
}

// The x axis begins at 1, as in the d2l plot, unless that would hide too much.
func TestPlotRange(t *testing.T) {
	c := NewCurves(10)
	c.Add(TrainLoss, 0.2, 9)
	c.Add(TrainLoss, 1, 5)
	if f := c.plotFigure(); f.xmin != 0 || f.xmax != 10 || f.ymax != 9 {
		t.Errorf("in the first epoch: x %g to %g, y to %g", f.xmin, f.xmax, f.ymax)
	}
	c.Add(TrainLoss, 2, 1)
	if f := c.plotFigure(); f.xmin != 1 || f.ymax != 5 || f.ymin != 1 {
		t.Errorf("in the second: x from %g, y %g to %g", f.xmin, f.ymin, f.ymax)
	}
	c = NewCurves(2)
	c.Add(TrainLoss, 0.2, 3)
	c.Add(TrainLoss, 2, 1)
	if f := c.plotFigure(); f.xmin != 0 || f.xmax != 2 || f.ymax != 3 {
		t.Errorf("of two epochs: x %g to %g, y to %g", f.xmin, f.xmax, f.ymax)
	}
	c = NewCurves(6)
	c.Add(TrainLoss, 0.5, 2)
	c.Add(TrainLoss, 1.5, 1) // crosses x = 1 at 1.5
	if f := c.plotFigure(); math.Abs(f.ymax-1.5) > 1e-12 {
		t.Errorf("y up to %g, want 1.5 at the left edge", f.ymax)
	}
}

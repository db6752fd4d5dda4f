package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"
)

// every returns a figure that uses every field of a panel and has points that cannot be drawn.
func every() Figure {
	points := []Point{{1, 40}, {2, 20}, {3, math.NaN()}, {4, 10}}
	return Figure{Rows: [][]Panel{
		{
			{Title: "lines", X: "epoch", Y: "error (%)", YRange: &[2]float64{0, 50}, Lines: []Line{
				{Name: "8 layers", Points: points, Low: []float64{35, 15, 0, 5}, High: []float64{45, 25, 0, 15}},
				{Points: points, Color: 1, Dashed: true},
			}},
			{Title: "norms", X: "layers", Y: "norm", LogY: true, Ticks: []Tick{{8, "8"}, {110, "110"}}, Lines: []Line{
				{Name: "plain", Marks: true, Points: []Point{{8, 0}, {20, 1e-3}, {110, 10}}, Low: []float64{0, 0, 9}, High: []float64{0, 2e-3, 11}},
			}},
		},
		{{Title: "bars", Y: "points", FromZero: true, Ticks: []Tick{{0, "layer1.0"}}, Lines: []Line{{Bars: true, Points: []Point{{0, -1}, {1, 3}}}}}},
		{{Title: "nothing yet", Lines: []Line{{Name: "none", Points: []Point{{1, math.NaN()}}}}}, {Title: "one", Lines: []Line{{Points: []Point{{1, 2}}, Low: []float64{1}, High: []float64{3}}}}},
	}}
}

func TestFigureImages(t *testing.T) {
	var b bytes.Buffer
	if err := every().WritePNG(&b); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b.Bytes()))
	if err != nil || img.Bounds().Dx() != 1120 || img.Bounds().Dy() != 1320 {
		t.Fatalf("%v, %v", img.Bounds(), err)
	}
	b.Reset()
	if err := every().WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{">lines<", ">8 layers<", ">110<", ">layer1.0<", ">error (%)<", ">nothing yet<"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the SVG", want)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("a coordinate is no number")
	}
	var again bytes.Buffer
	if err := every().WriteSVG(&again); err != nil || again.String() != text {
		t.Errorf("drawn again it is another image (%v)", err)
	}
}

func TestEvenTicks(t *testing.T) {
	for _, r := range [][2]float64{{0, 1}, {3.2, 3.21}, {-40, 700}, {0, 1e9}, {5, 5}} {
		ticks := evenTicks{}.Ticks(r[0], r[1])
		if r[0] < r[1] && (len(ticks) < 3 || len(ticks) > 9) {
			t.Errorf("%v has %d ticks", r, len(ticks))
		}
		for _, k := range ticks {
			if k.Value < r[0]-1e-9*(r[1]-r[0]) || k.Value > r[1]+1e-9*(r[1]-r[0]) || k.Label == "" {
				t.Errorf("%v has a tick at %v, %q", r, k.Value, k.Label)
			}
		}
	}
}

// A short logarithmic axis has labels just as a long one does.
func TestPowerTicks(t *testing.T) {
	for _, r := range [][2]float64{{1, 10}, {2.1, 4.7}, {0.9, 1.1}, {0.0031, 0.0049}, {1e-5, 10}, {30, 80}, {1.01, 1.0101}, {1e-7, 1e-5}} {
		ticks := powerTicks{}.Ticks(r[0], r[1])
		if len(ticks) < 3 || len(ticks) > 10 {
			t.Errorf("%v has %d ticks", r, len(ticks))
		}
		seen := map[string]bool{}
		for _, k := range ticks {
			if k.Value < r[0]*(1-1e-9) || k.Value > r[1]*(1+1e-9) || k.Label == "" || seen[k.Label] {
				t.Errorf("%v has a tick at %v, %q", r, k.Value, k.Label)
			}
			seen[k.Label] = true
		}
	}
	for _, r := range [][2]float64{{0, 1}, {3, 3}, {math.NaN(), 1}} {
		if ticks := (powerTicks{}).Ticks(r[0], r[1]); len(ticks) != 0 {
			t.Errorf("%v has ticks", r)
		}
	}
	if k := (Rates{Points: []Point{{0.012, 2}, {0.02, 1}, {0.04, 3}}}).Figure().Rows[0][0].Ticks; len(k) < 3 {
		t.Errorf("rates from 0.012 to 0.04 have %d labels", len(k))
	}
}

package report

import (
	"bytes"
	"image/png"
	"math"
	"strings"
	"testing"
)

func sampleRates(mark float64) Rates {
	r := Rates{Mark: mark}
	for i := range 80 {
		x := math.Pow(10, -7+8*float64(i)/79)
		r.Points = append(r.Points, Point{x, 2.3 - 1.5/(1+math.Exp(-2*(math.Log10(x)+3)))})
	}
	return r
}

// The curve falls from left to right, fills the given size, and marks the rate.
func TestRatesText(t *testing.T) {
	r := sampleRates(1e-3)
	r.Points = append(r.Points, Point{2, math.NaN()}, Point{3, math.Inf(1)}, Point{-1, 1})
	for _, size := range [][2]int{{80, 20}, {40, 10}, {120, 30}, {60, 7}} {
		text := r.Terminal(size[0], size[1], false)
		lines := strings.Split(text, "\n")
		if len(lines) > size[1] || strings.Contains(text, "\x1b") {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		key := lines[len(lines)-1]
		lines = lines[:len(lines)-1]
		want := "learning rate   ── smoothed loss   xx suggested: 0.001"
		if size[0] == 40 {
			want = "── smoothed loss   xx suggested: 0.001"
		}
		if strings.TrimSpace(key) != want || textWidth(key) > size[0] {
			t.Errorf("%v: the legend is %q", size, key)
		}
		foot := ""
		for _, l := range lines {
			if textWidth(l) > size[0] {
				t.Errorf("%v: a line of %d columns", size, textWidth(l))
			}
			if strings.Contains(l, "x") {
				foot = l
			}
		}
		// 1e-3 is half way, and the last row holds the mark.
		if at := textWidth(foot[:max(strings.Index(foot, "x"), 0)]); at < size[0]*2/5 || at > size[0]*3/5 || !strings.HasPrefix(strings.TrimSpace(foot), "0.8") {
			t.Errorf("%v: the mark is at column %d of %q", size, at, foot)
		}
		if !strings.Contains(lines[len(lines)-1], "1.0e-07") || !strings.Contains(lines[len(lines)-1], "1.0e+01") {
			t.Errorf("%v: the rates are %q", size, lines[len(lines)-1])
		}
	}
	if text := r.Terminal(80, 20, true); !strings.Contains(text, "\x1b[") {
		t.Error("no colour")
	}
	if r.Terminal(20, 20, false) != "" || r.Terminal(80, 5, false) != "" || (Rates{}).Terminal(80, 20, false) != "" {
		t.Error("a chart where none fits")
	}
	if text := sampleRates(0).Terminal(80, 20, false); strings.Contains(text, "x") {
		t.Error("a mark without a rate")
	}
	flat := Rates{Points: []Point{{1e-3, 1}, {1e-2, 1}, {1e-1, 1}}, Mark: 1e-2}
	if flat.Terminal(80, 20, false) == "" {
		t.Error("a flat curve is none")
	}
}

// The figure has the curve and the suggestion.
func TestRatesFigure(t *testing.T) {
	var b bytes.Buffer
	if err := sampleRates(1e-3).Figure().WritePNG(&b); err != nil {
		t.Fatal(err)
	}
	if img, err := png.Decode(&b); err != nil || img.Bounds().Dx() != 560 || img.Bounds().Dy() != 440 {
		t.Errorf("%v", err)
	}
	b.Reset()
	if err := sampleRates(1e-3).Figure().WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"learning rate", "smoothed loss", "suggested: 0.001", "1e-05", ">10<"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the figure says nothing of %q", want)
		}
	}
	b.Reset()
	if err := (Rates{}).Figure().WriteSVG(&b); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}

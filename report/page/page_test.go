package page

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/report"
)

// example returns a report with the given number of classes, whose names would break a page
// that did not escape them.
func example(classes, mistakes int) *Report {
	r := &Report{
		Model: "d2l-resnet18", File: `runs/<b>"train"&1/best.safetensors`, Data: "garments", Part: "test", Loss: 0.25,
		Made: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), Version: "v1.2.3",
		Facts: []Facts{{"Model", []Fact{{"architecture", "d2l-resnet18"}}}, {"Training", []Fact{{"lr", "0.05"}, {"note", "<i>no</i>"}}}},
	}
	for i := range classes {
		r.Classes = append(r.Classes, fmt.Sprintf("class %d", i))
		row := make([]int, classes)
		row[i], row[(i+1)%classes] = 20, i%7
		r.Confusion = append(r.Confusion, row)
	}
	r.Classes[0] = `</td><script>alert("x")</script>`
	for i := range 200 {
		r.Calibration.Add(float64(i)/200, i%3 > 0)
	}
	for i := range mistakes {
		small := image.NewGray(image.Rect(0, 0, 28, 28))
		large := image.NewRGBA(image.Rect(0, 0, 112, 112))
		for k := range small.Pix {
			small.Pix[k] = uint8(k * (i + 1))
		}
		for k := range 112 * 112 {
			large.Set(k%112, k/112, color.RGBA{uint8(k), uint8(k >> 5), 90, 255})
		}
		r.Mistakes = append(r.Mistakes, Mistake{small, large, fmt.Sprintf(`a"b<%d>.png`, i), r.Classes[0], r.Classes[1], 0.9, 0.05})
	}
	line := func(name string, color int) report.Line {
		l := report.Line{Name: name, Color: color, Marks: color == 1}
		for i := range 10 {
			l.Points = append(l.Points, report.Point{X: float64(i+1) / 2, Y: 1 / float64(i+1+color)})
		}
		return l
	}
	r.Curves = []report.Panel{{Title: "Loss", X: "epoch", FromZero: true, Lines: []report.Line{line("train", 0), line("test <1>", 1)}}}
	return r
}

func write(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPageHoldsEverything(t *testing.T) {
	text := write(t, example(10, 3))
	for _, want := range []string{
		`<title>d2l-resnet18 on garments: 89.3%</title>`, `datetime="2026-05-04T03:02:01Z"`,
		`id="training"`, `id="confusion"`, `id="classes"`, `id="calibration"`, `id="mistakes"`, `id="settings"`,
		`<dt>Accuracy</dt><dd>89.3%<small>95% interval: 84.6 – 92.7%</small>`, `of 224 images`,
		`<figcaption><b>Loss</b>`, `test &lt;1&gt; ends at`,
		`title="class 6 taken for class 7: 6 of 26 (23.1%)"`, `Macro mean`, `Weighted mean`,
		`Reliability diagram: accuracy by confidence in 15 bins`, `underconfident`,
		`<th scope="row">lr</th><td>0.05</td>`, `Made by Residual v1.2.3`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if !IsReport(strings.NewReader(text)) || IsReport(strings.NewReader("<!DOCTYPE html><title>Residual</title>")) || IsReport(strings.NewReader("")) {
		t.Error("reports are not told from other files")
	}
}

// An empty field has no section, and a run that diverged still has a page.
func TestPageWithEmptyFields(t *testing.T) {
	r := &Report{Model: "m", Data: "d", Part: "test", Classes: []string{"a", "b"}, Confusion: [][]int{{3, 0}, {0, 4}}, Loss: math.NaN()}
	r.Curves = []report.Panel{{Title: "Loss", Lines: []report.Line{{Name: "train", Points: []report.Point{{X: 1, Y: math.NaN()}, {X: 2, Y: math.Inf(1)}}}}}}
	text := write(t, r)
	for _, not := range []string{`id="training"`, `id="calibration"`, `id="settings"`, "Most frequent mistakes", "<time"} {
		if strings.Contains(text, not) {
			t.Errorf("%q is in the page", not)
		}
	}
	for _, want := range []string{"There were none.", "<dd>100.0%", "<dd>NaN<small>"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
}

// An accuracy names the classes without images, which it does not cover.
func TestPageOfSomeClasses(t *testing.T) {
	r := &Report{Model: "m", Data: "d", Part: "test", Classes: []string{"a", "b", "<c>"}, Confusion: [][]int{{3, 1, 0}, {0, 0, 0}, {0, 0, 0}}}
	if text, want := write(t, r), `; over 1 of 3 classes, none of b, &lt;c&gt;</small>`; !strings.Contains(text, want) {
		t.Errorf("%q is not in the page", want)
	}
	r.Confusion[1][1], r.Confusion[2][0] = 1, 1
	if strings.Contains(write(t, r), "none of b") {
		t.Error("an accuracy of all classes is said to be of some")
	}
}

// Names that come from a user cannot change the page's structure, and nothing is loaded.
func TestPageEscapes(t *testing.T) {
	text := write(t, example(10, 3))
	if n := strings.Count(text, "<script"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	for _, not := range []string{"<b>\"train", "<i>no", `a"b<`, "ZgotmplZ"} {
		if strings.Contains(text, not) {
			t.Errorf("%q is in the page", not)
		}
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[1], "data:") && !strings.HasPrefix(m[1], "#") {
			t.Errorf("the page asks for %q", m[1])
		}
	}
	if regexp.MustCompile(`url\(|@import|https?://`).MatchString(text) {
		t.Error("the page names an address")
	}
	if n := strings.Count(text, "<img "); n != 6 || strings.Count(text, ` alt="`) != n {
		t.Error("an image has no alt text")
	}
}

// Of 1000 classes the matrix shows the 25 with the most mistakes, and the page stays
// below a few megabytes.
func TestPageOfManyClasses(t *testing.T) {
	r := example(1000, 0)
	r.Confusion[500][501] = 900
	text := write(t, r)
	if !strings.Contains(text, "of 1000 classes the 25 with the most mistakes are shown") {
		t.Error("the matrix is not cut")
	}
	matrix := text[strings.Index(text, `class="matrix"`):]
	matrix = matrix[:strings.Index(matrix, "</table>")]
	if n := strings.Count(matrix, "<td class="); n != 25*25 {
		t.Errorf("the matrix has %d cells", n)
	}
	if !strings.Contains(matrix, ">class 500<") || !strings.Contains(matrix, ">class 501<") {
		t.Error("the worst classes are not in the matrix")
	}
	if n := strings.Count(text, `<th scope="row">class `); n < 999 {
		t.Errorf("%d classes have scores", n)
	}
	if len(text) > 2<<20 {
		t.Errorf("the page has %d bytes", len(text))
	}
}

// Two intervals of the paper's formula, worked out by hand with z = 1.96.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		right, n  int
		low, high float64
	}{{8, 10, 0.4902, 0.9433}, {950, 1000, 0.9347, 0.9618}, {0, 10, 0, 0.2775}, {0, 0, 0, 1}} {
		low, high := wilson(c.right, c.n)
		if math.Abs(low-c.low) > 1e-4 || math.Abs(high-c.high) > 1e-4 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.right, c.n, low, high, c.low, c.high)
		}
	}
}

func TestPercent(t *testing.T) {
	for v, want := range map[float64]string{0: "0.0%", 1: "100.0%", 0.5: "50.0%", 0.999999: "> 99.99%", 0.9912: "99.12%", 0.004: "0.40%", 0.94: "94.0%"} {
		if got := percent(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

func TestTicksAreRound(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{{0, 1, "[0 0.2 0.4 0.6 0.8 1]"}, {0.83, 0.97, "[0.85 0.9 0.95]"}, {0, 250, "[0 50 100 150 200 250]"}, {-0.3, 0.3, "[-0.2 0 0.2]"}} {
		var got []string
		for _, v := range (axis{low: c.low, high: c.high}).ticks(5) {
			got = append(got, number(v))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%v to %v: %v, want %v", c.low, c.high, got, c.want)
		}
	}
}

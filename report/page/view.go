package page

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/residual-ml/residual/report"
)

const (
	maxInMatrix = 25 // classes; more do not fit a screen
	maxConfused = 12 // pairs that are listed
	longTable   = 40 // rows; longer tables scroll in a frame
)

func view(r *Report) (*content, error) {
	scores := report.Scores(r.Classes, r.Confusion)
	macro, mean, met := report.Means(scores)
	right := 0
	for i := range r.Confusion {
		right += r.Confusion[i][i]
	}
	n := mean.Support
	v := &content{
		Report: r, Style: template.CSS(style), Script: template.JS(script), Policy: policy(),
		Count: report.Count(int64(n)), Wrong: report.Count(int64(n - right)),
		Matrix: matrixOf(r.Classes, r.Confusion, scores), Macro: scoreOf(macro), Mean: scoreOf(mean),
		Long: len(r.Classes) > longTable,
	}
	if v.Tiles = tiles(r, n, right, macro, met, report.Unmet(scores)); r.Measures != nil {
		v.Count, v.Tiles = report.Count(int64(r.Measures.Count)), r.Measures.Tiles
	}
	all := report.Confusions(r.Confusion)
	taken := make([]string, len(r.Classes))
	for i, c := range all {
		share := float64(c.Count) / float64(scores[c.True].Support)
		if taken[c.True] == "" {
			taken[c.True] = fmt.Sprintf("%s (%s)", r.Classes[c.Predicted], percent(share))
		}
		if i < maxConfused {
			v.Pairs = append(v.Pairs, pair{r.Classes[c.True], r.Classes[c.Predicted], c.Count, figure(share, percent(share))})
		}
	}
	for i, s := range scores {
		line := scoreOf(s)
		line.Taken = taken[i]
		v.Scores = append(v.Scores, line)
	}
	for _, p := range r.Curves {
		if c, ok := chartOf(p); ok {
			v.Charts = append(v.Charts, c)
		}
	}
	v.calibration()
	return v, v.shots()
}

// policy lets the page use its own style, its own script and the images in it, and nothing
// else: it cannot reach the network even if a name in it contained markup.
func policy() string {
	sum := sha256.Sum256([]byte(script))
	return fmt.Sprintf("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-%s'; base-uri 'none'; form-action 'none'",
		base64.StdEncoding.EncodeToString(sum[:]))
}

func tiles(r *Report, n, right int, macro report.ClassScore, met int, untested []string) []Tile {
	low, high := wilson(right, n)
	all := r.Calibration.All()
	of := fmt.Sprintf("mean of %s classes", report.Count(int64(met)))
	if unmet := len(r.Classes) - met; unmet > 0 {
		of += fmt.Sprintf("; of %s no images", report.Count(int64(unmet)))
	}
	f1 := figures(macro.F1)
	if math.IsNaN(macro.F1) {
		f1 = report.Nothing
	}
	t := []Tile{
		{"Accuracy", percent(share(right, n)), fmt.Sprintf("95%% interval: %.1f – %.1f%%", 100*low, 100*high) + over(r, untested)},
		{"Mistakes", report.Count(int64(n - right)), "of " + report.Count(int64(n)) + " images"},
		{"Macro F1", f1, of},
		{"Loss", figures(r.Loss), "mean cross-entropy"},
	}
	if len(r.Classes) > 5 {
		t = slices.Insert(t, 1, Tile{"Top-5 accuracy", percent(share(r.AmongFive, n)), "the class is among the five most probable"})
	}
	if all.Count > 0 {
		t = append(t, Tile{"Calibration error", percent(r.Calibration.ExpectedError()), "expected, over " + fmt.Sprint(len(r.Calibration.Bins)) + " bins"})
	}
	return t
}

// over says how many classes an accuracy covers; "" if it covers all.
func over(r *Report, untested []string) string {
	if len(untested) == 0 {
		return ""
	}
	of := fmt.Sprintf("%s of %s classes", report.Count(int64(len(r.Classes)-len(untested))), report.Count(int64(len(r.Classes))))
	if len(untested) <= 4 {
		of += ", none of " + strings.Join(untested, ", ")
	}
	return "; over " + of
}

func scoreOf(s report.ClassScore) score {
	line := score{ClassScore: s}
	for _, v := range []float64{s.Precision, s.Recall, s.F1} {
		line.Cells = append(line.Cells, figure(v, figures(v)))
	}
	return line
}

// figure returns a bar, or an empty one where v is NaN; such lines sort below all others.
func figure(v float64, text string) bar {
	if math.IsNaN(v) {
		return bar{report.Nothing, "-1", "--w:0%"}
	}
	return bar{text, fmt.Sprintf("%.6f", v), template.CSS(fmt.Sprintf("--w:%.1f%%", 100*v))}
}

func (v *content) calibration() {
	c := &v.Report.Calibration
	all := c.All()
	if all.Count == 0 {
		return
	}
	v.Diagram = reliability(c)
	switch gap := all.Gap(); {
	case math.Abs(gap) < 0.005:
		v.Verdict = "Overall the model is as confident as it is accurate"
	case gap > 0:
		v.Verdict = fmt.Sprintf("The model is overconfident: its mean confidence is %.1f points above its accuracy", 100*gap)
	default:
		v.Verdict = fmt.Sprintf("The model is underconfident: its mean confidence is %.1f points below its accuracy", -100*gap)
	}
	v.Verdict += fmt.Sprintf(": mean confidence %s, accuracy %s. The expected calibration error is %s.",
		percent(all.Confidence()), percent(all.Accuracy()), percent(c.ExpectedError()))
	if t := v.Report.Tempered; t != nil {
		is := "without it"
		if t.Used {
			is = "with it"
		}
		v.Verdict += fmt.Sprintf(" The model file has the temperature %.3g, which the training fitted to the images that it held out: dividing the logits by it changes no class, and the calibration error from %s to %s. The probabilities on this page are %s.",
			t.Temperature, percent(t.Before), percent(t.After), is)
	}
	for i, b := range c.Bins {
		line := claim{
			Range: fmt.Sprintf("%.3f – %.3f", float64(i)/float64(len(c.Bins)), float64(i+1)/float64(len(c.Bins))),
			Count: report.Count(int64(b.Count)), Confidence: "–", Accuracy: "–",
		}
		if b.Count > 0 {
			line.Confidence, line.Accuracy = percent(b.Confidence()), percent(b.Accuracy())
		}
		v.Claims = append(v.Claims, line)
	}
}

// matrixOf shows all classes, or, if there are many, those with the most mistakes in their
// original order.
func matrixOf(classes []string, counts [][]int, scores []report.ClassScore) matrix {
	shown := make([]int, len(classes))
	for i := range shown {
		shown[i] = i
	}
	if len(shown) > maxInMatrix {
		wrong := func(i int) int { return scores[i].Support + scores[i].Predicted - 2*counts[i][i] }
		slices.SortStableFunc(shown, func(a, b int) int { return cmp.Compare(wrong(b), wrong(a)) })
		shown = shown[:maxInMatrix]
		slices.Sort(shown)
	}
	m := matrix{Left: len(classes) - len(shown), All: len(classes)}
	for _, i := range shown {
		m.Heads = append(m.Heads, classes[i])
		row := matrixRow{Class: classes[i]}
		for _, j := range shown {
			row.Cells = append(row.Cells, cellOf(classes[i], classes[j], counts[i][j], scores[i].Support, i == j))
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

func cellOf(truth, said string, n, of int, hit bool) cell {
	part := share(n, of)
	if of == 0 {
		return cell{Text: "·", Kind: "none", Title: fmt.Sprintf("there is no image of %s", truth)}
	}
	c := cell{Text: report.Count(int64(n)), Kind: "miss"}
	depth := math.Sqrt(part) // the square root makes rare mistakes visible
	switch {
	case hit:
		c.Kind, depth = "hit", part
		c.Title = fmt.Sprintf("%s: %s of %s found (%s)", truth, c.Text, report.Count(int64(of)), percent(part))
	case n == 0:
		return cell{Text: "·", Kind: "none", Title: fmt.Sprintf("%s was never taken for %s", truth, said)}
	default:
		c.Title = fmt.Sprintf("%s taken for %s: %s of %s (%s)", truth, said, c.Text, report.Count(int64(of)), percent(part))
	}
	if depth > 0.68 {
		c.Kind += " deep"
	}
	c.Shade = template.CSS(fmt.Sprintf("--a:%.3f", depth))
	return c
}

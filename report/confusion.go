package report

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/tensor"
)

// ClassScore says how well one class is recognised. A score that divides by zero is NaN:
// the precision of a class that is never predicted, the recall of a class without images,
// and the F1 of a class with neither, as in scikit-learn's precision_recall_fscore_support
// with zero_division=nan.
type ClassScore struct {
	Class     string  `json:"class"`
	Precision float64 `json:"precision"` // fraction of the images predicted as this class that belong to it
	Recall    float64 `json:"recall"`    // fraction of the images of this class that were predicted as such
	F1        float64 `json:"f1"`        // harmonic mean of precision and recall
	Support   int     `json:"support"`   // images of this class
	Predicted int     `json:"predicted"` // images predicted as this class
}

// MarshalJSON implements json.Marshaler. A score that is NaN becomes null.
func (s ClassScore) MarshalJSON() ([]byte, error) { return number.Object(s) }

// Scores computes the scores of every class from counts[true][predicted].
// It panics unless counts is square with one row and column a class.
func Scores(classes []string, counts [][]int) []ClassScore {
	checkCounts("Scores", classes, counts)
	out := make([]ClassScore, len(classes))
	for i, name := range classes {
		s := ClassScore{Class: name}
		for j := range classes {
			s.Support += counts[i][j]
			s.Predicted += counts[j][i]
		}
		hits := float64(counts[i][i])
		s.Precision = hits / float64(s.Predicted) // NaN for 0/0
		s.Recall = hits / float64(s.Support)
		s.F1 = 2 * hits / float64(s.Support+s.Predicted)
		out[i] = s
	}
	return out
}

// Met reports whether the class had images or was predicted. If not, all its scores are NaN.
func (s ClassScore) Met() bool { return s.Support+s.Predicted > 0 }

// Unmet returns the names of the classes without images, which an accuracy does not cover.
func Unmet(scores []ClassScore) (classes []string) {
	for _, s := range scores {
		if s.Support == 0 {
			classes = append(classes, s.Class)
		}
	}
	return classes
}

// Means returns two means of the scores, as scikit-learn does: macro counts every class
// once, and weighted counts each by its number of images. A class that lacks a score is
// left out of the mean of that score: one that is never predicted has no precision. The
// mean of no class is NaN. Support and Predicted are sums, and met is the number of classes
// that had images or were predicted.
func Means(scores []ClassScore) (macro, weighted ClassScore, met int) {
	for _, s := range scores {
		macro.Support += s.Support
		macro.Predicted += s.Predicted
		if s.Met() {
			met++
		}
	}
	weighted = macro
	macro.Class, weighted.Class = "macro mean", "weighted mean"
	mean := func(figure func(ClassScore) float64, weight func(ClassScore) float64) float64 {
		sum, total := 0.0, 0.0
		for _, s := range scores {
			if v := figure(s); !math.IsNaN(v) {
				sum += float64(weight(s) * v)
				total += weight(s)
			}
		}
		return sum / total
	}
	one := func(ClassScore) float64 { return 1 }
	images := func(s ClassScore) float64 { return float64(s.Support) }
	precision := func(s ClassScore) float64 { return s.Precision }
	recall := func(s ClassScore) float64 { return s.Recall }
	f1 := func(s ClassScore) float64 { return s.F1 }
	macro.Precision, macro.Recall, macro.F1 = mean(precision, one), mean(recall, one), mean(f1, one)
	weighted.Precision, weighted.Recall, weighted.F1 = mean(precision, images), mean(recall, images), mean(f1, images)
	return macro, weighted, met
}

// Confusion counts how often images of class True were taken for class Said.
type Confusion struct{ True, Said, Count int }

// Confusions lists the mistakes in counts[true][predicted], the most frequent first.
func Confusions(counts [][]int) []Confusion {
	var out []Confusion
	for i, row := range counts {
		for j, n := range row {
			if i != j && n > 0 {
				out = append(out, Confusion{i, j, n})
			}
		}
	}
	sort.SliceStable(out, func(a, b int) bool { return out[a].Count > out[b].Count })
	return out
}

func ratio(n float64, of int) float64 {
	if of == 0 {
		return 0
	}
	return n / float64(of)
}

func checkCounts(op string, classes []string, counts [][]int) {
	if len(counts) != len(classes) {
		panic(tensor.Misusef("report: %s: %d rows of counts for %d classes", op, len(counts), len(classes)))
	}
	for i, row := range counts {
		if len(row) != len(classes) {
			panic(tensor.Misusef("report: %s: row %d has %d counts for %d classes", op, i, len(row), len(classes)))
		}
	}
}

// A larger matrix is too wide to read, so the most frequent mistakes are listed instead.
const (
	widestMatrix   = 20
	listedMistakes = 20
)

// ConfusionText returns the confusion matrix as text, followed by precision,
// recall and F1 of every class and their means. counts[true][predicted]
// holds numbers of images; a row is a true class and a column a predicted one,
// headed by the class's number. For more than 20 classes the 20 most frequent
// mistakes are listed instead of the matrix. It panics unless counts is square
// with one row and column per class.
func ConfusionText(classes []string, counts [][]int) string {
	return ConfusionFit(classes, counts, 0)
}

// ConfusionFit is ConfusionText for width columns, 0 for any width. A matrix that is wider is
// replaced by the list of mistakes.
func ConfusionFit(classes []string, counts [][]int, width int) string {
	checkCounts("ConfusionText", classes, counts)
	if len(classes) == 0 {
		return "no classes\n"
	}
	first := matrix(classes, counts)
	if len(classes) > widestMatrix || width > 0 && sum(first.widths())+2*len(first.Columns)-2 > width {
		first = mistakes(classes, counts)
	}
	return first.Fit(width) + "\n" + scoreText(Scores(classes, counts), counts, width)
}

func matrix(classes []string, counts [][]int) *Table {
	columns := []Column{{"", Right}, {"true \\ predicted", Left}}
	for i := range classes {
		columns = append(columns, Column{strconv.Itoa(i), Right})
	}
	t := NewTable(columns...)
	for i, name := range classes {
		row := []string{strconv.Itoa(i), name}
		for j, n := range counts[i] {
			if n == 0 && i != j {
				row = append(row, "·") // zeros stay inconspicuous
				continue
			}
			row = append(row, strconv.Itoa(n))
		}
		t.Row(row...)
	}
	return t
}

func mistakes(classes []string, counts [][]int) *Table {
	all := Confusions(counts)
	t := NewTable(Column{"true", Left}, Column{"predicted", Left}, Column{"images", Right})
	for _, c := range all[:min(len(all), listedMistakes)] {
		t.Row(classes[c.True], classes[c.Said], strconv.Itoa(c.Count))
	}
	return t
}

// Nothing is shown for a score of 0/0, in tables and on pages.
const Nothing = "–"

func scoreText(scores []ClassScore, counts [][]int, width int) string {
	t := NewTable(Column{"class", Left}, Column{"precision", Right}, Column{"recall", Right},
		Column{"F1", Right}, Column{"images", Right})
	mean, _, met := Means(scores)
	hits, open := 0, false
	row := func(name string, s ClassScore) {
		cells := []string{name}
		for _, v := range []float64{s.Precision, s.Recall, s.F1} {
			if math.IsNaN(v) {
				cells, open = append(cells, Nothing), true
				continue
			}
			cells = append(cells, score(v))
		}
		t.Row(append(cells, Count(int64(s.Support)))...)
	}
	for i, s := range scores {
		row(s.Class, s)
		hits += counts[i][i]
	}
	t.Rule()
	title := "mean"
	if met < len(scores) {
		title = fmt.Sprintf("mean of %d", met)
	}
	row(title, mean)
	var b strings.Builder
	b.WriteString(t.Fit(width))
	if open {
		b.WriteString(Wrap("– is a share of no image; each mean is over the classes that have the figure", width, "") + "\n")
	}
	b.WriteString("\n" + Wrap(fmt.Sprintf("accuracy %.4f (%s of %s%s)", ratio(float64(hits), mean.Support),
		Count(int64(hits)), Count(int64(mean.Support)), over(scores)), width, "") + "\n")
	return b.String()
}

// over names the classes without images, which an accuracy does not cover; "" if it covers all.
func over(scores []ClassScore) string {
	const most = 4
	missing := Unmet(scores)
	if len(missing) == 0 {
		return ""
	}
	text := strings.Join(missing[:min(most, len(missing))], ", ")
	if more := len(missing) - most; more > 0 {
		text = fmt.Sprintf("%s and %d more", text, more)
	}
	return fmt.Sprintf(", over %d of %d classes: no images of %s", len(scores)-len(missing), len(scores), text)
}

package report

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// ClassScore is how well one class is recognised. A precision without
// predictions and a recall without samples are 0, as in scikit-learn's
// precision_recall_fscore_support.
type ClassScore struct {
	Class     string  `json:"class"`
	Precision float64 `json:"precision"` // of the images given this class, the share that is of it
	Recall    float64 `json:"recall"`    // of the images of this class, the share found
	F1        float64 `json:"f1"`        // harmonic mean of both
	Support   int     `json:"support"`   // images of this class
	Predicted int     `json:"predicted"` // images given this class
}

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
		s.Precision = ratio(hits, s.Predicted)
		s.Recall = ratio(hits, s.Support)
		s.F1 = ratio(2*hits, s.Support+s.Predicted)
		out[i] = s
	}
	return out
}

// Met says whether the class had images or was predicted. Of any other nothing is known.
func (s ClassScore) Met() bool { return s.Support+s.Predicted > 0 }

// Unmet names the classes that have no images: an accuracy does not cover them.
func Unmet(scores []ClassScore) (classes []string) {
	for _, s := range scores {
		if s.Support == 0 {
			classes = append(classes, s.Class)
		}
	}
	return classes
}

// Means returns the means of the scores over the classes that were met, as scikit-learn's:
// each class counting once, and each as much as it has images. Support and Predicted are
// sums, met is how many classes these are.
func Means(scores []ClassScore) (macro, weighted ClassScore, met int) {
	total := 0
	for _, s := range scores {
		total += s.Support
		if s.Met() {
			met++
		}
	}
	add := func(m *ClassScore, s ClassScore, share float64) {
		m.Precision += share * s.Precision
		m.Recall += share * s.Recall
		m.F1 += share * s.F1
		m.Support += s.Support
		m.Predicted += s.Predicted
	}
	macro.Class, weighted.Class = "macro mean", "weighted mean"
	for _, s := range scores {
		add(&macro, s, ratio(1, met)) // 0 is added for others
		add(&weighted, s, ratio(float64(s.Support), total))
	}
	return macro, weighted, met
}

// Confusion is a mistake that was made.
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
		panic(fmt.Sprintf("report: %s: %d rows of counts for %d classes", op, len(counts), len(classes)))
	}
	for i, row := range counts {
		if len(row) != len(classes) {
			panic(fmt.Sprintf("report: %s: row %d has %d counts for %d classes", op, i, len(row), len(classes)))
		}
	}
}

// A matrix of more classes is too wide to read; the worst mistakes are
// listed in its place.
const (
	widestMatrix   = 20
	listedMistakes = 20
)

// ConfusionText is the confusion matrix as text, followed by precision,
// recall and F1 of every class and their means. counts[true][predicted]
// holds images; a row is a true class, a column a predicted one, headed by
// the class's number. Where there are more than 20 classes the 20 most
// frequent mistakes stand in for the matrix. It panics unless counts is
// square with one row and column a class.
func ConfusionText(classes []string, counts [][]int) string {
	checkCounts("ConfusionText", classes, counts)
	if len(classes) == 0 {
		return "no classes\n"
	}
	first := matrix(classes, counts)
	if len(classes) > widestMatrix {
		first = mistakes(classes, counts)
	}
	return first + "\n" + scoreTable(Scores(classes, counts), counts)
}

func matrix(classes []string, counts [][]int) string {
	columns := []Column{{"", Right}, {"true \\ predicted", Left}}
	for i := range classes {
		columns = append(columns, Column{strconv.Itoa(i), Right})
	}
	t := NewTable(columns...)
	for i, name := range classes {
		row := []string{strconv.Itoa(i), name}
		for j, n := range counts[i] {
			if n == 0 && i != j {
				row = append(row, "·") // mistakes that never happen stay quiet
				continue
			}
			row = append(row, strconv.Itoa(n))
		}
		t.Row(row...)
	}
	return t.String()
}

func mistakes(classes []string, counts [][]int) string {
	all := Confusions(counts)
	t := NewTable(Column{"true", Left}, Column{"predicted", Left}, Column{"images", Right})
	for _, c := range all[:min(len(all), listedMistakes)] {
		t.Row(classes[c.True], classes[c.Said], strconv.Itoa(c.Count))
	}
	return t.String()
}

func scoreTable(scores []ClassScore, counts [][]int) string {
	t := NewTable(Column{"class", Left}, Column{"precision", Right}, Column{"recall", Right},
		Column{"F1", Right}, Column{"images", Right})
	mean, _, met := Means(scores)
	hits := 0
	for i, s := range scores {
		precision, recall, f1 := score(s.Precision), score(s.Recall), score(s.F1)
		if s.Predicted == 0 {
			precision = "-"
		}
		if s.Support == 0 {
			recall = "-"
		}
		if !s.Met() {
			f1 = "-"
		}
		t.Row(s.Class, precision, recall, f1, Count(int64(s.Support)))
		hits += counts[i][i]
	}
	t.Rule()
	title := "mean"
	if met < len(scores) {
		title = fmt.Sprintf("mean of %d", met)
	}
	t.Row(title, score(mean.Precision), score(mean.Recall), score(mean.F1), Count(int64(mean.Support)))
	var b strings.Builder
	b.WriteString(t.String())
	fmt.Fprintf(&b, "\naccuracy %.4f (%s of %s%s)\n", ratio(float64(hits), mean.Support),
		Count(int64(hits)), Count(int64(mean.Support)), over(scores))
	return b.String()
}

// over says which classes an accuracy covers where it is not all.
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

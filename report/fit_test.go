package report

import (
	"bytes"
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text   string
		width  int
		indent string
		want   string
	}{
		{"one two three", 0, "", "one two three"},
		{"one two three", 13, "", "one two three"},
		{"one two three", 12, "  ", "one two\n  three"},
		{"  one two three", 9, "    ", "  one two\n    three"},
		{"a-word-that-is-longer than", 10, "", "a-word-that-is-longer\nthan"},
		{"中文 字", 4, "", "中文\n字"},
		{"", 5, "", ""},
	} {
		if got := Wrap(c.text, c.width, c.indent); got != c.want {
			t.Errorf("Wrap(%q, %d, %q) is %q, want %q", c.text, c.width, c.indent, got, c.want)
		}
	}
}

func narrow() *Table {
	t := NewTable(Column{"name", Left}, Column{"images", Right}, Column{"what it is", Left})
	t.Row("numbers", "70,000", "digits that people wrote on forms, in grey")
	t.Row("set")
	t.Row("  clothes", "1,234", "garments")
	t.Rule()
	t.Row("all", "71,234", "")
	return t
}

// Cells are broken between words, and where columns have no room rows stand below each other.
func TestTableFits(t *testing.T) {
	const at50 = `name       images  what it is
──────────────────────────────────────────────────
numbers    70,000  digits that people wrote on
                   forms, in grey
set
  clothes   1,234  garments
──────────────────────────────────────────────────
all        71,234
`
	const at30 = `numbers
    images 70,000; what it is
    digits that people wrote
    on forms, in grey
set
  clothes
      images 1,234; what it is
      garments
──────────────────────────────
all
    images 71,234
`
	for width, want := range map[int]string{0: narrow().String(), 62: narrow().String(), 50: at50, 30: at30} {
		if got := narrow().Fit(width); got != want {
			t.Errorf("%d columns:\n%s\nwant\n%s", width, got, want)
		}
	}
}

// Every width shows every word whole, on lines that are not wider.
func TestTableKeepsWords(t *testing.T) {
	words := strings.Fields(strings.ReplaceAll(narrow().String(), "─", " "))
	for width := 20; width < 90; width++ {
		text := narrow().Fit(width)
		for _, l := range lines(text) {
			if textWidth(l) > width {
				t.Fatalf("%d columns: %q", width, l)
			}
		}
		for _, w := range words {
			if !strings.Contains(text, w) && !strings.Contains("name", w) {
				t.Fatalf("%d columns lack %q:\n%s", width, w, text)
			}
		}
	}
}

func TestColumns(t *testing.T) {
	for env, want := range map[string]int{"": 0, "wide": 0, "0": 0, "-3": 0, "10": 40, "77": 77} {
		t.Setenv("COLUMNS", env)
		if got := Columns(new(bytes.Buffer)); got != want {
			t.Errorf("COLUMNS=%q: %d, want %d", env, got, want)
		}
	}
	t.Setenv("COLUMNS", "40")
	var b bytes.Buffer
	if err := narrow().Write(&b); err != nil || b.String() != narrow().Fit(40) {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// A matrix that is too wide gives way to the list of mistakes.
func TestConfusionFits(t *testing.T) {
	classes, counts := []string{"ankle boot", "sandal", "bag"}, [][]int{{5, 1, 0}, {2, 7, 0}, {0, 0, 4}}
	if ConfusionFit(classes, counts, 80) != ConfusionText(classes, counts) {
		t.Error("a matrix that fits is another")
	}
	text := ConfusionFit(classes, counts, 27)
	if !strings.Contains(text, "sandal") || strings.Contains(text, "\\ predicted") {
		t.Errorf("the matrix is still there, or the mistakes are not:\n%s", text)
	}
	for _, l := range lines(text) {
		if textWidth(l) > 27 {
			t.Errorf("%q is too wide", l)
		}
	}
}

package report

import (
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// minColumns is the smallest width of text; a narrower terminal breaks the lines itself.
const minColumns = 40

// Columns returns how wide text for w may be: the environment variable COLUMNS if that is a
// number, or else the width of the terminal w. If w is not a terminal, it returns 0, which
// means any width. Widths below 40 become 40.
func Columns(w io.Writer) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return max(n, minColumns)
	}
	if !IsTerminal(w) {
		return 0
	}
	columns, _ := TerminalSize(w)
	return max(columns, minColumns)
}

// Wrap breaks a line of text between words so that no line is wider than width columns. The
// lines after the first begin with indent. A word that is too wide for a line gets a line of
// its own. Spaces at the beginning of text stay. A width of 0 means any width. The result does
// not end with a newline.
func Wrap(text string, width int, indent string) string {
	if width <= 0 || textWidth(text) <= width {
		return strings.TrimRight(text, " ")
	}
	begin := text[:len(text)-len(strings.TrimLeft(text, " "))]
	var b strings.Builder
	b.WriteString(begin)
	at, empty := len(begin), true // columns used, and whether the line has no word yet
	for word := range strings.FieldsSeq(text) {
		n := textWidth(word)
		switch {
		case empty:
		case at+1+n <= width:
			b.WriteByte(' ')
			at++
		default:
			b.WriteString("\n" + indent)
			at = textWidth(indent)
		}
		b.WriteString(word)
		at, empty = at+n, false
	}
	return b.String()
}

// minTextColumn is the smallest width of a column of text. If the table is still too wide, it
// is shown row by row.
const minTextColumn = 16

// Fit is String for a given width. If the table is wider, its cells are broken between words.
// If that is not enough, each row is shown as its first cell and, below it, the other cells
// with the titles of their columns. A width of 0 means any width.
func (t *Table) Fit(width int) string {
	widths := t.widths()
	room := width - t.Indent - 2*max(0, len(widths)-1)
	if width <= 0 || sum(widths) <= room {
		return t.String()
	}
	least := t.minWidths(widths)
	if sum(least) > room {
		return t.records(width)
	}
	for limit := slices.Max(widths); sum(widths) > room; limit-- {
		for i := range widths {
			widths[i] = max(min(widths[i], limit), least[i])
		}
	}
	return t.text(widths, t.wrapped)
}

func sum(numbers []int) (all int) {
	for _, n := range numbers {
		all += n
	}
	return all
}

// minWidths returns the smallest width of each column: that of its longest word, and at least
// minTextColumn if the column has longer text.
func (t *Table) minWidths(natural []int) []int {
	least := make([]int, len(t.Columns))
	word := func(i int, cell string) {
		begin := len(cell) - len(strings.TrimLeft(cell, " "))
		for w := range strings.FieldsSeq(cell) {
			least[i] = max(least[i], begin+textWidth(w))
		}
	}
	for i, c := range t.Columns {
		word(i, printable(c.Title))
	}
	for _, row := range t.rows {
		for i, cell := range row {
			word(i, cell)
		}
	}
	for i, n := range natural {
		if n > minTextColumn {
			least[i] = max(least[i], minTextColumn)
		}
	}
	return least
}

// wrapped writes a row whose cells may have several lines.
func (t *Table) wrapped(b *strings.Builder, widths []int, cells []string) {
	height := 1
	lines := make([][]string, len(cells))
	for i, c := range cells {
		begin := c[:len(c)-len(strings.TrimLeft(c, " "))]
		lines[i] = strings.Split(Wrap(c, widths[i], begin), "\n")
		height = max(height, len(lines[i]))
	}
	for k := range height {
		row := make([]string, len(cells))
		for i := range cells {
			if k < len(lines[i]) {
				row[i] = lines[i][k]
			}
		}
		t.line(b, widths, row)
	}
}

// records shows each row by itself.
func (t *Table) records(width int) string {
	var b strings.Builder
	indent := strings.Repeat(" ", t.Indent)
	for _, row := range t.rows {
		if row == nil {
			b.WriteString(indent + strings.Repeat("─", width-t.Indent) + "\n")
			continue
		}
		first := slices.IndexFunc(row, func(cell string) bool { return cell != "" })
		if first < 0 {
			b.WriteByte('\n')
			continue
		}
		begin := indent + row[first][:len(row[first])-len(strings.TrimLeft(row[first], " "))]
		b.WriteString(Wrap(indent+row[first], width, begin) + "\n")
		var parts []string
		for i := first + 1; i < len(row); i++ {
			if row[i] != "" {
				parts = append(parts, strings.TrimSpace(printable(t.Columns[i].Title)+" "+strings.TrimSpace(row[i])))
			}
		}
		if len(parts) > 0 {
			below := begin + "    "
			b.WriteString(Wrap(below+strings.Join(parts, "; "), width, below) + "\n")
		}
	}
	return b.String()
}

package report

import (
	"io"
	"strings"

	"github.com/residual-ml/residual/tensor"
)

// Column is the heading of one column of a Table.
type Column struct {
	Title string
	Align Align
}

// Table is a table of text for the terminal. Columns are as wide as their widest
// cell (in terminal columns, so that CJK text lines up), with two spaces between.
// A table whose titles are all empty has no heading.
type Table struct {
	Columns []Column
	Indent  int // spaces before each line

	rows [][]string // nil is a rule
}

// NewTable returns a table with the given columns.
func NewTable(columns ...Column) *Table { return &Table{Columns: columns} }

// Row adds a line. Missing cells are blank; it panics on more cells than columns.
// Control characters are replaced.
func (t *Table) Row(cells ...string) {
	if len(cells) > len(t.Columns) {
		panic(tensor.Misusef("report: Table.Row: %d cells for %d columns", len(cells), len(t.Columns)))
	}
	row := make([]string, len(t.Columns))
	for i, c := range cells {
		row[i] = printable(c)
	}
	t.rows = append(t.rows, row)
}

// Rule adds a line across the table, for a total below it.
func (t *Table) Rule() { t.rows = append(t.rows, nil) }

// Write writes the table as Fit does for the columns that w has. An error comes from the
// writer.
func (t *Table) Write(w io.Writer) error {
	_, err := io.WriteString(w, t.Fit(Columns(w)))
	return err
}

// String returns the table. Each line ends with a newline and has no trailing
// spaces.
func (t *Table) String() string { return t.text(t.widths(), t.line) }

// text returns the table with columns of the given widths, of which line writes one row.
func (t *Table) text(widths []int, line func(b *strings.Builder, widths []int, cells []string)) string {
	var b strings.Builder
	if t.titled() {
		titles := make([]string, len(t.Columns))
		for i, c := range t.Columns {
			titles[i] = printable(c.Title)
		}
		line(&b, widths, titles)
		t.rule(&b, widths)
	}
	for _, row := range t.rows {
		if row == nil {
			t.rule(&b, widths)
			continue
		}
		line(&b, widths, row)
	}
	return b.String()
}

func (t *Table) titled() bool {
	for _, c := range t.Columns {
		if c.Title != "" {
			return true
		}
	}
	return false
}

func (t *Table) widths() []int {
	widths := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		widths[i] = textWidth(printable(c.Title))
	}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], textWidth(cell))
		}
	}
	return widths
}

func (t *Table) line(b *strings.Builder, widths []int, cells []string) {
	padded := make([]string, len(cells))
	for i, c := range cells {
		padded[i] = pad(c, widths[i], t.Columns[i].Align)
	}
	line := strings.Repeat(" ", t.Indent) + strings.Join(padded, "  ")
	b.WriteString(strings.TrimRight(line, " "))
	b.WriteByte('\n')
}

func (t *Table) rule(b *strings.Builder, widths []int) {
	total := 2 * max(0, len(widths)-1)
	for _, w := range widths {
		total += w
	}
	b.WriteString(strings.Repeat(" ", t.Indent) + strings.Repeat("─", total) + "\n")
}

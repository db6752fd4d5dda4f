package folder

import (
	"encoding/csv"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/data/lines"
)

// These are the names that columns and keys may have. This package writes the first ones.
var (
	pathNames  = []string{"path", "file", "filename", "file_name", "image"}
	labelNames = []string{"label", "class", "category"}
	splitNames = []string{"split", "part"}
)

// endsAsList reports whether a file name has the ending of a list.
func endsAsList(name string) bool {
	return slices.Contains([]string{".csv", ".jsonl", ".ndjson"}, strings.ToLower(filepath.Ext(name)))
}

// listKind is how a list is written.
type listKind int

const (
	noList listKind = iota
	tableList
	jsonList
)

// kindOf tells by its first line how a list is written; labelled says that a table must name
// a column of labels.
func kindOf(first string, labelled bool) listKind {
	if strings.HasPrefix(strings.TrimSpace(first), "{") {
		return jsonList
	}
	if _, ok := headOf(first, labelled); ok {
		return tableList
	}
	return noList
}

// firstLine returns the first line that is neither blank nor Excel's sep=, which r reads
// again, and the number of lines before it.
func firstLine(r *lines.Reader) (first string, before int, err error) {
	first, err = r.Peek()
	for err == nil && (strings.TrimSpace(first) == "" || strings.HasPrefix(strings.ToLower(first), "sep=")) {
		_, _ = r.Next()
		first, err = r.Peek()
	}
	return first, r.Number() - 1, err
}

// tableHead is the first line of a table.
type tableHead struct {
	separator rune
	names     []string
}

// column returns the position of the first column that has one of the names, or -1.
func (h tableHead) column(names []string) int {
	return slices.IndexFunc(h.names, func(n string) bool { return slices.Contains(names, strings.ToLower(lines.Name(n))) })
}

// headOf reads the first line of a table with the separator that gives it the columns that a
// list needs. It is false where none does.
func headOf(first string, labelled bool) (h tableHead, ok bool) {
	for _, h.separator = range []rune{',', ';', '\t'} {
		r := csv.NewReader(strings.NewReader(first))
		r.Comma = h.separator
		names, err := r.Read()
		if err != nil {
			continue
		}
		h.names = names
		if h.column(pathNames) >= 0 && (!labelled || h.column(labelNames) >= 0) {
			return h, true
		}
	}
	return h, false
}

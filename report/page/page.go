// Package page writes the evaluation of a model as one self-contained HTML file: it loads
// nothing from the network or from other files, and it can be read without its script. It
// follows the light or dark theme of the reader's system, and it can be printed.
//
// Fill a Report and pass it to Write; package judge does so for a trained model. IsReport
// recognises such a page.
package page

import (
	"bytes"
	_ "embed" // the template, the style and the script
	"fmt"
	"html/template"
	"io"
)

// mark is in the head of every page, by which IsReport recognises it.
const mark = `<meta name="generator" content="Residual`

var tmpl = template.Must(template.New("page").Parse(source))

// Write writes the page. It panics unless the confusion matrix is square with one row and
// column per class. An error comes from the writer, or from encoding an image.
func Write(w io.Writer, r *Report) error {
	v, err := view(r)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return tmpl.Execute(w, v)
}

// IsReport reports whether r begins as a page written by Write does.
func IsReport(r io.Reader) bool {
	head, _ := io.ReadAll(io.LimitReader(r, 512)) // a read error means that it is not a report
	return bytes.Contains(head, []byte(mark))
}

// Package page writes what was found of a model as one HTML file that needs nothing
// beside it: no network, no other file, and no script to be read. It is light or dark
// as the reader's system is, and it can be printed.
package page

import (
	"bytes"
	_ "embed" // the template, the style and the script
	"fmt"
	"html/template"
	"image"
	"io"
	"time"

	"github.com/residual-ml/residual/report"
)

// Report is a measured model. What is empty is left out of the page.
type Report struct {
	Model string    // its architecture
	File  string    // where it lies
	Data  string    // the data set it was measured on
	Part  string    // of the data set: test or train
	Made  time.Time // when it was measured

	Classes     []string
	Confusion   [][]int // [true class][predicted class]
	AmongFive   int     // pictures whose class is one of the five likeliest; shown of more than five classes
	Loss        float64 // mean cross-entropy, in nats
	Calibration report.Calibration

	Curves   []report.Panel // of the training
	Mistakes []Mistake      // those the model was most sure of
	Note     string         // of the mistakes, such as why there are no heat maps
	Facts    []Facts        // the model, the settings, the machine

	Version string // of the program
}

// Mistake is a picture that the model took for something else.
type Mistake struct {
	Picture     image.Image
	Heat        image.Image // what spoke for Said; may be nil
	Name        string      // of the picture
	True, Said  string      // classes
	Probability float64     // of Said, by the model
	Own         float64     // of True, by the model
}

// Facts is a table of names and values.
type Facts struct {
	Title string
	Rows  []Fact
}

// Fact is a line of Facts.
type Fact struct{ Name, Value string }

// mark is in the head of every page, so that a report is told from other files.
const mark = `<meta name="generator" content="Residual`

var (
	//go:embed page.html.tmpl
	source string
	//go:embed style.css
	style string
	//go:embed sort.js
	script string
)

var tmpl = template.Must(template.New("page").Parse(source))

// Write writes the page. It panics unless the confusion matrix is square with one row
// and column a class; the error is the writer's, or of a picture that cannot be
// encoded.
func Write(w io.Writer, r *Report) error {
	v, err := view(r)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return tmpl.Execute(w, v)
}

// IsReport says whether r begins as a page of Write does.
func IsReport(r io.Reader) bool {
	head, _ := io.ReadAll(io.LimitReader(r, 512)) // what cannot be read is no report
	return bytes.Contains(head, []byte(mark))
}

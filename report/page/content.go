package page

import (
	"html/template"

	"github.com/residual-ml/residual/report"
)

// content is the data of the template.
type content struct {
	*Report
	Style  template.CSS
	Script template.JS
	Policy string // what the browser may load: only what is in the file

	Count   string
	Tiles   []Tile
	Charts  []chart
	Matrix  matrix
	Pairs   []pair
	Scores  []score
	Macro   score
	Mean    score
	Long    bool
	Shots   []shot
	Wrong   string // number of mistakes
	Claims  []claim
	Verdict string
	Diagram template.HTML
}

// score is a line of the table of classes.
type score struct {
	report.ClassScore
	Cells []bar
	Taken string // the class it is most often taken for
}

// bar is a number from 0 to 1 with a bar behind it.
type bar struct {
	Text  string
	Value string // to sort by
	Width template.CSS
}

type pair struct {
	True, Said string
	Count      int
	Share      bar
}

// claim is a bin of the calibration as a line of a table.
type claim struct{ Range, Count, Confidence, Accuracy string }

// matrix is the confusion matrix ready for the template.
type matrix struct {
	Left  int // classes that are not shown
	All   int
	Heads []string
	Rows  []matrixRow
}

type matrixRow struct {
	Class string
	Cells []cell
}

type cell struct {
	Text, Title, Kind string // Kind is hit, miss or none, with deep where the colour is dark
	Shade             template.CSS
}

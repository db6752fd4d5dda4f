package page

import (
	_ "embed"
	"image"
	"time"

	"github.com/residual-ml/residual/report"
)

// Report is the evaluation of a model. Empty fields are left out of the page.
type Report struct {
	Model string    // its architecture
	File  string    // path of the model file
	Data  string    // the data set it was measured on
	Part  string    // part of the data set: test or train
	Made  time.Time // when it was measured

	Classes     []string
	Confusion   [][]int // [true class][predicted class]
	AmongFive   int     // images whose class is among the five most probable; shown for more than five classes
	Loss        float64 // mean cross-entropy, in nats
	Calibration report.Calibration
	// Tempered compares the calibration error without and with the temperature in the model's
	// file; nil where the file has none.
	Tempered *Tempered

	// Measures are the measures of a model that answers with labels, values or masks. They take
	// the place of all about classes.
	Measures *Measures

	Curves   []report.Panel // curves of the training
	Mistakes []Mistake      // the mistakes of which the model was most sure
	Note     string         // a remark about the mistakes, such as why there are no heat maps
	Facts    []Facts        // tables about the model, the settings, the machine

	Version string // version of the program
}

// Tempered says what a temperature, by which logits are divided, changes.
type Tempered struct {
	Temperature   float64
	Before, After float64 // the expected calibration error without and with it
	Used          bool    // the probabilities of the page are those with it
}

// Measures holds the measures of a model that predicts labels, values or masks.
type Measures struct {
	Count   int        // images
	Tiles   []Tile     // the measures of all, the most important first
	Title   string     // of the table
	Lead    string     // what its columns are
	Columns []string   // the first one names what a row is about
	Rows    [][]string // as many cells as columns
}

// Tile is a measure with its name and a remark.
type Tile struct{ Name, Value, Note string }

// Mistake is an image that the model took for another class.
type Mistake struct {
	Image           image.Image
	Heat            image.Image // the heat map for Predicted; may be nil
	Name            string      // name of the image
	True, Predicted string      // classes
	Probability     float64     // the model's probability for Predicted
	Own             float64     // the model's probability for True
}

// Facts is a titled table of names and values.
type Facts struct {
	Title string
	Rows  []Fact
}

// Fact is one line of Facts.
type Fact struct{ Name, Value string }

var (
	//go:embed page.html.tmpl
	source string
	//go:embed style.css
	style string
	//go:embed sort.js
	script string
)

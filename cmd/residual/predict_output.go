package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/judge"
	"github.com/residual-ml/residual/report"
)

// answerFormats are what --format takes.
var answerFormats = []string{"text", "csv", "jsonl", "json"}

// answers writes predictions one after the other, so that they need no memory.
type answers interface {
	add(prediction) error
	end() error
}

// newAnswers returns a writer of one of answerFormats, with at most so many classes.
func newAnswers(format string, w io.Writer, classes int, cams bool) answers {
	switch format {
	case "csv":
		return &csvAnswers{w: csv.NewWriter(w), classes: classes, cams: cams}
	case "jsonl":
		return lineAnswers{w}
	case "json":
		return &jsonAnswers{w: w}
	}
	return textAnswers{w}
}

type textAnswers struct{ w io.Writer }

func (a textAnswers) add(p prediction) error {
	if p.Error != "" {
		return nil // it was said on stderr
	}
	t := report.NewTable(report.Column{}, report.Column{Align: report.Right})
	t.Indent = 2
	for _, c := range p.Predictions {
		t.Row(c.Class, fmt.Sprintf("%.4f", c.Probability))
	}
	if none := p.targetRows(t); len(p.Predictions)+len(p.Labels)+len(p.Values) == 0 {
		t.Row(none)
	}
	text := p.Image + "\n" + t.String()
	if p.CAM != "" {
		text += "  heat map: " + p.CAM + "\n"
	}
	_, err := io.WriteString(a.w, text)
	return err
}

func (textAnswers) end() error { return nil }

type csvAnswers struct {
	w       *csv.Writer
	classes int
	cams    bool
	begun   bool
}

// begin writes the row with the names of the columns.
func (a *csvAnswers) begin() error {
	a.begun = true
	head := []string{"path"}
	for i := range a.classes {
		suffix := ""
		if i > 0 {
			suffix = "_" + strconv.Itoa(i+1)
		}
		head = append(head, "class"+suffix, "probability"+suffix)
	}
	if a.cams {
		head = append(head, "cam")
	}
	return a.w.Write(append(head, "error"))
}

func (a *csvAnswers) add(p prediction) error {
	if !a.begun {
		if err := a.begin(); err != nil {
			return err
		}
	}
	row := []string{p.Image}
	for i := range a.classes {
		class, probability := "", ""
		if i < len(p.Predictions) {
			class, probability = p.Predictions[i].Class, strconv.FormatFloat(p.Predictions[i].Probability, 'g', 6, 64)
		}
		row = append(row, class, probability)
	}
	return writeAnswer(a.w, row, a.cams, p)
}

// writeAnswer ends the row of an image, with the file of its heat map if there is a column for
// it and with its error, and writes it at once.
func writeAnswer(w *csv.Writer, row []string, cams bool, p prediction) error {
	if cams {
		row = append(row, p.CAM)
	}
	if err := w.Write(append(row, p.Error)); err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

func (a *csvAnswers) end() error {
	if !a.begun {
		if err := a.begin(); err != nil {
			return err
		}
	}
	a.w.Flush()
	return a.w.Error()
}

// lineAnswers writes JSON lines.
type lineAnswers struct{ w io.Writer }

func (a lineAnswers) add(p prediction) error { return number.Write(a.w, p, "") }
func (lineAnswers) end() error               { return nil }

// jsonAnswers writes one array, in the form of printJSON.
type jsonAnswers struct {
	w     io.Writer
	count int
}

func (a *jsonAnswers) add(p prediction) error {
	before := ",\n"
	if a.count == 0 {
		before = "[\n"
	}
	a.count++
	var b bytes.Buffer
	if err := number.Write(&b, p, "  "); err != nil {
		return err
	}
	text := strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", "\n  ") // no string in JSON has a line end
	_, err := io.WriteString(a.w, before+"  "+text)
	return err
}

func (a *jsonAnswers) end() error {
	text := "\n]\n"
	if a.count == 0 {
		text = "[]\n"
	}
	_, err := io.WriteString(a.w, text)
	return err
}

const (
	largestCAM = 1024 // pixels of the longer side
	camQuality = 90
)

// writeCAM writes a heat map of what spoke for a class over the image into the folder dir,
// under the image's own path, and returns the file.
func writeCAM(ctx context.Context, dir, path string, c *inference.Classifier, class int) (string, error) {
	img, err := c.OpenImage(ctx, path)
	if err != nil {
		return "", err
	}
	cam, err := c.GradCAM(img, class)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	shown := transforms.ToImage(judge.Within(transforms.FromImage(img, c.Info().Channels), largestCAM))
	heat := judge.Heat(shown, c.Seen(shown.Bounds()), cam)
	file := filepath.Join(dir, camName(path))
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return "", fmt.Errorf("--cam: %w", err)
	}
	return file, checkpoint.WriteFile(file, func(w io.Writer) error { return jpeg.Encode(w, heat, &jpeg.Options{Quality: camQuality}) })
}

// camName returns the path of an image as one below a folder, another one for every image.
func camName(path string) string {
	path = filepath.Clean(path)
	path = strings.TrimPrefix(path, filepath.VolumeName(path))
	var parts []string
	for part := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		switch part {
		case "":
		case "..":
			parts = append(parts, "__")
		default:
			parts = append(parts, part)
		}
	}
	return filepath.Join(parts...) + ".cam.jpg"
}

// prediction is an element of what predict --json prints, and a line of --format jsonl.
type prediction struct {
	Image       string                 `json:"image"`
	Predictions []inference.Prediction `json:"predictions,omitzero"` // likeliest first
	Labels      []labelAnswer          `json:"labels,omitzero"`      // in place of them, of a model that answers with labels
	Values      []inference.Value      `json:"values,omitzero"`      // or with values
	CAM         string                 `json:"cam,omitempty"`        // file of the heat map, with --cam
	Precision   string                 `json:"precision,omitempty"`  // that it was computed in
	Error       string                 `json:"error,omitempty"`

	probabilities map[string]float64 // of all labels
}

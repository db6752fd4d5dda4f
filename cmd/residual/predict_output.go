package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
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
	"github.com/residual-ml/residual/judge"
	"github.com/residual-ml/residual/report"
)

// answerFormats are what --format takes.
var answerFormats = []string{"text", "csv", "jsonl", "json"}

// answers writes predictions one after the other; none is kept.
type answers interface {
	add(prediction) error
	end() error
}

// newAnswers writes in one of answerFormats, with so many classes at most.
func newAnswers(format string, w io.Writer, classes int, cams bool) answers {
	switch format {
	case "csv":
		return &csvAnswers{w: csv.NewWriter(w), classes: classes, cams: cams}
	case "jsonl":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return lineAnswers{e}
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

// begin writes the names of the columns.
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
	if a.cams {
		row = append(row, p.CAM)
	}
	if err := a.w.Write(append(row, p.Error)); err != nil {
		return err
	}
	a.w.Flush()
	return a.w.Error()
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

// lineAnswers is JSON lines.
type lineAnswers struct{ e *json.Encoder }

func (a lineAnswers) add(p prediction) error { return a.e.Encode(p) }
func (lineAnswers) end() error               { return nil }

// jsonAnswers is one array, as printJSON would write it.
type jsonAnswers struct {
	w     io.Writer
	count int
}

func (a *jsonAnswers) add(p prediction) error {
	var b bytes.Buffer
	b.WriteString(",\n  ")
	if a.count == 0 {
		b.Reset()
		b.WriteString("[\n  ")
	}
	a.count++
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("  ", "  ")
	if err := e.Encode(p); err != nil {
		return err
	}
	_, err := a.w.Write(bytes.TrimRight(b.Bytes(), "\n"))
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

// writeCAM explains an answer: it writes the image with what spoke for the class into
// the folder, under the image's own path, and returns the file.
func writeCAM(ctx context.Context, dir, path string, c *inference.Classifier, class int) (string, error) {
	img, err := c.OpenImage(ctx, path)
	if err != nil {
		return "", err
	}
	cam, err := c.GradCAM(img, class)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	picture := transforms.ToImage(judge.Within(transforms.FromImage(img, c.Info().Channels), largestCAM))
	heat := judge.Heat(picture, c.Seen(picture.Bounds()), cam)
	file := filepath.Join(dir, camName(path))
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return "", fmt.Errorf("--cam: %w", err)
	}
	return file, checkpoint.WriteFile(file, func(w io.Writer) error { return jpeg.Encode(w, heat, &jpeg.Options{Quality: camQuality}) })
}

// camName is a path below any folder, another one for every image.
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

package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/npz"
	"github.com/residual-ml/residual/weights/safetensors"
)

// What --format takes; the first is the default.
var (
	embeddingFormats = []string{"jsonl", "json", "csv", "npy", "safetensors"}
	neighbourFormats = []string{"text", "jsonl", "json", "csv"}
)

func isBinary(format string) bool { return format == "npy" || format == "safetensors" }

// isTable reports whether all rows of a format have the same length.
func isTable(format string) bool { return format == "csv" || isBinary(format) }

// embedded is an element of what embed --json prints, and a line of --format jsonl.
type embedded struct {
	Image     string    `json:"image"`
	Embedding []float32 `json:"embedding,omitzero"`
	Error     string    `json:"error,omitempty"`
}

// neighboursOf is the same with --neighbours.
type neighboursOf struct {
	Image      string                `json:"image"`
	Neighbours []inference.Neighbour `json:"neighbours,omitzero"` // the most similar first
	Error      string                `json:"error,omitempty"`
}

// results writes results one after the other.
type results[T any] interface {
	add(T) error
	end() error
}

func newEmbeddings(format string, w io.Writer, info *embeddingInfo) results[embedded] {
	switch format {
	case "csv":
		return &csvResults[embedded]{w: csv.NewWriter(w), head: embeddedHead, rows: embeddedRows}
	case "json":
		return &arrayResults[embedded]{w: w}
	case "jsonl":
		return lineResults[embedded]{w}
	}
	return &embeddingTable{w: w, format: format, info: info}
}

func newNeighbours(format string, w io.Writer, count int) results[neighboursOf] {
	switch format {
	case "csv":
		head := func(neighboursOf) []string { return []string{"path", "rank", "neighbour", "similarity"} }
		return &csvResults[neighboursOf]{w: csv.NewWriter(w), head: head, rows: neighbourRows}
	case "json":
		return &arrayResults[neighboursOf]{w: w}
	case "jsonl":
		return lineResults[neighboursOf]{w}
	}
	return textNeighbours{w}
}

// lineResults is JSON lines.
type lineResults[T any] struct{ w io.Writer }

func (a lineResults[T]) add(v T) error { return number.Write(a.w, v, "") }

func (lineResults[T]) end() error { return nil }

// arrayResults is one JSON array, with an element a line.
type arrayResults[T any] struct {
	w     io.Writer
	count int
}

func (a *arrayResults[T]) add(v T) error {
	var b bytes.Buffer
	if err := number.Write(&b, v, ""); err != nil {
		return err
	}
	before := ",\n  "
	if a.count == 0 {
		before = "[\n  "
	}
	a.count++
	_, err := io.WriteString(a.w, before+strings.TrimSuffix(b.String(), "\n"))
	return err
}

func (a *arrayResults[T]) end() error {
	text := "\n]\n"
	if a.count == 0 {
		text = "[]\n"
	}
	_, err := io.WriteString(a.w, text)
	return err
}

// csvResults writes the names of the columns before the first row.
type csvResults[T any] struct {
	w     *csv.Writer
	head  func(T) []string
	rows  func(T) [][]string
	begun bool
}

func (a *csvResults[T]) add(v T) error {
	rows := a.rows(v)
	if len(rows) == 0 {
		return nil
	}
	if !a.begun {
		a.begun = true
		rows = append([][]string{a.head(v)}, rows...)
	}
	for _, row := range rows {
		if err := a.w.Write(row); err != nil {
			return err
		}
	}
	a.w.Flush()
	return a.w.Error()
}

func (a *csvResults[T]) end() error {
	if !a.begun {
		var none T
		if err := a.w.Write(a.head(none)); err != nil {
			return err
		}
	}
	a.w.Flush()
	return a.w.Error()
}

func embeddedHead(e embedded) []string {
	head := []string{"path"}
	for i := range e.Embedding {
		head = append(head, strconv.Itoa(i))
	}
	return head
}

func embeddedRows(e embedded) [][]string {
	if e.Error != "" {
		return nil // it was said on stderr
	}
	row := []string{e.Image}
	for _, v := range e.Embedding {
		row = append(row, strconv.FormatFloat(float64(v), 'g', -1, 32))
	}
	return [][]string{row}
}

func neighbourRows(n neighboursOf) (rows [][]string) {
	for i, near := range n.Neighbours {
		rows = append(rows, []string{n.Image, strconv.Itoa(i + 1), near.Image, strconv.FormatFloat(near.Similarity, 'f', 6, 64)})
	}
	return rows
}

type textNeighbours struct{ w io.Writer }

func (a textNeighbours) add(n neighboursOf) error {
	if n.Error != "" {
		return nil // it was said on stderr
	}
	t := report.NewTable(report.Column{Align: report.Right}, report.Column{})
	t.Indent = 2
	for _, near := range n.Neighbours {
		t.Row(fmt.Sprintf("%.4f", near.Similarity), near.Image)
	}
	if len(n.Neighbours) == 0 {
		t.Row("there is no other image")
	}
	_, err := io.WriteString(a.w, n.Image+"\n"+t.String())
	return err
}

func (textNeighbours) end() error { return nil }

// embeddingInfo describes a table of embeddings.
type embeddingInfo struct {
	model, layer string
	paths        []string // of the rows
}

// embeddingTable collects the embeddings for a format whose head says how many there are.
type embeddingTable struct {
	w      io.Writer
	format string
	info   *embeddingInfo
	values []float32
}

func (a *embeddingTable) add(e embedded) error {
	if e.Error == "" {
		a.info.paths = append(a.info.paths, e.Image)
		a.values = append(a.values, e.Embedding...)
	}
	return nil
}

func (a *embeddingTable) end() error {
	n := len(a.info.paths)
	if n == 0 {
		return fmt.Errorf("there is no embedding to write as %s", a.format)
	}
	t := tensor.FromSlice(slices.Clip(a.values), n, len(a.values)/n)
	if a.format == "npy" {
		return npz.WriteArray(a.w, t)
	}
	paths, err := number.Marshal(a.info.paths)
	if err != nil {
		return err
	}
	return safetensors.Write(a.w, []tensor.Named{{Name: "embeddings", Tensor: t}},
		map[string]string{"paths": string(paths), "model": a.info.model, "layer": a.info.layer})
}

// writePaths writes the paths of the rows beside an npy file.
func (r *embedRun) writePaths() error {
	file := strings.TrimSuffix(r.out, filepath.Ext(r.out)) + ".txt"
	return checkpoint.WriteFile(file, func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Join(append(slices.Clone(r.info.paths), ""), "\n"))
		return err
	})
}

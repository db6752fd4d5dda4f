package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/judge"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train"
)

// The pictures in a run folder beside the curves.
const (
	batchFile     = "batch.png"
	rateFile      = "learning-rate.png"
	confusionFile = "confusion.png"
)

// The mosaic of a batch has so many images at most, of at most so many pixels a side.
const (
	mostTiles = 64
	largeTile = 160
)

// firstBatch writes the first batch of a new training as the network gets it.
func (v *trainView) firstBatch(s train.Start) {
	if s.Past != nil || s.FirstBatch == nil {
		return
	}
	all, err := s.FirstBatch(context.Background())
	if err != nil || len(all) == 0 {
		return // the training itself says what is wrong with its images
	}
	m := report.Mosaic{Title: fmt.Sprintf("the first batch as the network gets it: %d images of %dx%d", len(all), all[0].Image.Width, all[0].Image.Height)}
	for _, of := range all[:min(len(all), mostTiles)] {
		if of.Image.Channels != 1 && of.Image.Channels != 3 {
			return // no picture
		}
		m.Tiles = append(m.Tiles, report.Tile{Image: transforms.ToImage(judge.Within(of.Image, largeTile)), Text: of.Answer})
	}
	v.write(batchFile, m.WritePNG)
}

// draw writes the curves into the run folder.
func (v *trainView) draw() {
	v.write("curves.png", v.curves.WritePNG)
	v.write("curves.svg", v.curves.WriteSVG)
}

// lastPictures writes the pictures that are drawn once, when the training has ended.
func (v *trainView) lastPictures() {
	if len(v.rates) > 1 {
		line := report.Line{Name: "learning rate", Points: v.rates, Color: 2}
		v.write(rateFile, report.Figure{Rows: [][]report.Panel{{{Title: "Learning rate", X: "epoch", FromZero: true, Lines: []report.Line{line}}}}}.WritePNG)
	}
	if v.best != nil && len(v.best) == len(v.begun.Targets.Names) {
		v.write(confusionFile, func(w io.Writer) error { return report.WriteConfusionPNG(w, v.begun.Targets.Names, v.best) })
	}
}

// write writes a picture into the run folder. A failure is shown and does not end the training.
func (v *trainView) write(name string, write func(io.Writer) error) {
	err := checkpoint.WriteFile(filepath.Join(v.dir, name), write)
	switch p := v.progress.Load(); {
	case err == nil:
		if !slices.Contains(v.pictures, name) {
			v.pictures = append(v.pictures, name)
		}
	case v.failed:
	case p == nil:
		v.failed = true
		say(v.w, "%v\n", err)
	default:
		v.failed = true
		p.Note(err.Error())
	}
}

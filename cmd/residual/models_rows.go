package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/tensor"
)

// modelRow is a line of the list of models.
type modelRow struct {
	Name        string `json:"name"`
	Family      string `json:"family"`
	Kind        string `json:"kind"`
	Description string `json:"description"`
	Parameters  int64  `json:"parameters"`
	Channels    int    `json:"channels"`
	Height      int    `json:"height"`
	Width       int    `json:"width"`
	FixedSize   bool   `json:"fixed_size"` // takes no other height and width
	Classes     int    `json:"classes"`
	Blocks      []int  `json:"blocks,omitempty"` // in each stage
	Source      string `json:"source"`

	// How images become the input, if that is settled; see models.Entry.
	Resize        int       `json:"resize,omitempty"`
	Interpolation string    `json:"interpolation,omitempty"`
	Mean          []float64 `json:"mean,omitempty"`
	Std           []float64 `json:"std,omitempty"`
}

// describeModels prints all facts about each model.
func describeModels(cmd *cobra.Command, rows []modelRow) error {
	for i, r := range rows {
		macs, err := multiplyAdds(r.Name)
		if err != nil {
			return err
		}
		if i > 0 {
			printf(cmd, "\n")
		}
		t := report.NewTable(report.Column{}, report.Column{})
		t.Row("model", r.Name)
		t.Row("family", r.Family)
		t.Row("what it is", r.Description)
		t.Row("parameters", report.Count(r.Parameters))
		t.Row("multiply-adds", report.SI(float64(macs), "")+" an image")
		t.Row("input", inputText(r))
		t.Row("classes", fmt.Sprint(r.Classes))
		if r.Blocks != nil {
			t.Row("blocks", joinInts(r.Blocks)+" in its stages")
		}
		t.Row("images are", prepared(r))
		t.Row("source", r.Source)
		t.Row("train it", "residual train --model "+r.Name)
		if err := t.Write(cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	return nil
}

// multiplyAdds returns the multiply-adds for one image of the model's own size.
func multiplyAdds(name string) (int64, error) {
	e, err := models.Lookup(name)
	if err != nil {
		return 0, err
	}
	t, err := nn.Summary(e.New(models.Config{Blank: true}), tensor.Shape{1, e.Channels, e.Height, e.Width})
	if err != nil {
		return 0, err
	}
	return t.MACs, nil
}

// inputText writes the shape of an image, such as 3x224x224.
func inputText(r modelRow) string {
	text := fmt.Sprintf("%dx%dx%d", r.Channels, r.Height, r.Width)
	if r.FixedSize {
		text += " only"
	}
	return text
}

// listModels returns the rows of the named models, or of all if no name is given.
func listModels(names []string) ([]modelRow, error) {
	var rows []modelRow
	if len(names) == 0 {
		names = models.Names()
	}
	for _, name := range names {
		e, err := models.Lookup(name)
		if err != nil {
			return nil, err
		}
		row := modelRow{
			Name: e.Name, Family: e.Family, Kind: string(e.Kind), Description: e.Description, Source: e.Source, Classes: e.Classes, Parameters: e.Params,
			Channels: e.Channels, Height: e.Height, Width: e.Width, FixedSize: e.FixedSize, Blocks: e.Blocks,
			Resize: e.Preprocess.ResizeShorter, Interpolation: e.Preprocess.Interpolation, Mean: e.Preprocess.Mean, Std: e.Preprocess.Std,
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// prepared says how import prepares images for a model, without mean and std.
func prepared(r modelRow) string {
	switch {
	case r.Mean == nil:
		return "resized"
	case r.Resize == 0:
		return fmt.Sprintf("resized to %d, cropped, normalised", r.Height)
	}
	return fmt.Sprintf("resized to %d, cropped, normalised", r.Resize)
}

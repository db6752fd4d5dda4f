package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/measure"
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

	// How images become its input, where that is settled; see models.Entry.
	Resize        int       `json:"resize,omitempty"`
	Interpolation string    `json:"interpolation,omitempty"`
	Mean          []float64 `json:"mean,omitempty"`
	Std           []float64 `json:"std,omitempty"`
}

func modelsCommand() *cobra.Command {
	var asJSON, asMarkdown, toMeasure bool
	var speed string
	cmd := &cobra.Command{
		Use:   "models [NAME...]",
		Short: "List the models that have a name, or describe some",
		Long: `List the models that train, summary and bench take by name, with the parameters
they have for their own number of channels and classes. Of names that are given it shows
more: multiply-adds, source, and how images are prepared.

--measure measures images/s in training and inference, in fp32 on random images, and keeps it in the file of --speed, from which --markdown takes a column. A
model that the file has is not measured again, unless it is named.`,
		Example: `  residual models
  residual models resnet18
  residual models --json
  residual models --measure --speed speed.json
  residual models --measure --speed speed.json resnet18 resnet50
  residual models --markdown --speed speed.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			for _, name := range args {
				if _, err := lookupModel(name); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: words(models.Names()...),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case toMeasure && (speed == "" || asJSON || asMarkdown):
				return usagef("--measure keeps what it finds in a file: give --speed FILE with it, and no other flag")
			case speed != "" && !toMeasure && !asMarkdown:
				return usagef("--speed is about --markdown and --measure; give one of them")
			case toMeasure:
				ctx, stop := interruptible(cmd)
				defer stop()
				return hearing(ctx, func() error { return measureModels(ctx, cmd, speed, args) })
			}
			switch {
			case asMarkdown && asJSON:
				return usagef("--markdown and --json are two forms of one list; give one of them")
			case asMarkdown && len(args) > 0:
				return usagef("--markdown is of all models; leave %s out", args[0])
			}
			rows, err := listModels(args)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(cmd.OutOrStdout(), rows)
			case len(args) > 0:
				return describeModels(cmd, rows)
			}
			if asMarkdown {
				var s *measure.Speeds
				if speed != "" {
					if s, err = readSpeeds(speed); err != nil {
						return err
					}
				}
				return modelsMarkdown(cmd.OutOrStdout(), rows, s)
			}
			if err := modelsTable(rows).Write(cmd.OutOrStdout()); err != nil {
				return err
			}
			printf(cmd, "\n%s\n", report.Wrap("The nets for CIFAR have a name for every depth 6n+2, such as cifar-resnet1202. Where there are blocks, "+
				"train and summary take other numbers of them in each stage: --blocks.", cmp.Or(report.Columns(cmd.OutOrStdout()), widestHelp), ""))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asMarkdown, "markdown", false, "print tables in Markdown, with the multiply-adds")
	cmd.Flags().BoolVar(&toMeasure, "measure", false, "measure the speed of the models named, else of all that --speed lacks")
	cmd.Flags().StringVar(&speed, "speed", "", "file of measured speeds")
	takes(cmd.Flags(), "FILE", "speed")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// modelsTable lists the models below the names of their families.
func modelsTable(rows []modelRow) *report.Table {
	t := report.NewTable(report.Column{Title: "model"}, report.Column{Title: "parameters", Align: report.Right},
		report.Column{Title: "input"}, report.Column{Title: "classes", Align: report.Right}, report.Column{Title: "blocks"}, report.Column{Title: "description"})
	family := ""
	for _, r := range rows {
		if r.Family != family {
			family = r.Family
			t.Row(family)
		}
		t.Row("  "+r.Name, report.Count(r.Parameters), inputText(r), fmt.Sprint(r.Classes), joinInts(r.Blocks), r.Description)
	}
	return t
}

// describeModels shows what is known of each model.
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

// multiplyAdds counts those of one image of the model's own size.
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

// inputText is the shape of an image: 3x224x224.
func inputText(r modelRow) string {
	text := fmt.Sprintf("%dx%dx%d", r.Channels, r.Height, r.Width)
	if r.FixedSize {
		text += " only"
	}
	return text
}

// listModels describes the models of some names, or all.
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
			Resize: e.Resize, Interpolation: e.Interpolation, Mean: e.Mean, Std: e.Std,
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// lookupModel finds a model by name; the error is one about the command line.
func lookupModel(name string) (models.Entry, error) {
	e, err := models.Lookup(name)
	if err != nil {
		if strings.HasSuffix(err.Error(), "?") {
			return e, usagef("%w (`residual models` lists all)", err)
		}
		return e, usagef("%w; `residual models` describes them", err)
	}
	return e, nil
}

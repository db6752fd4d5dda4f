package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/measure"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/report"
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
		Use:   "models",
		Short: "List the models that have a name",
		Long: `List the models that train, summary and bench take by name, with the parameters
they have for their own number of channels and classes.

--measure measures how many images a second they train and infer, in fp32 on random
images, and keeps it in the file of --speed, from which --markdown takes a column. A
model that the file has is not measured again, unless it is named.`,
		Example: `  residual models
  residual models --json
  residual models --measure --speed speed.json
  residual models --measure --speed speed.json resnet18 resnet50
  residual models --markdown --speed speed.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if toMeasure {
				return nil
			}
			return exactly(0, "")(cmd, args)
		},
		ValidArgsFunction: words(models.Names()...),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case toMeasure && (speed == "" || asJSON || asMarkdown):
				return usagef("--measure keeps what it finds in a file: give --speed FILE with it, and no other flag")
			case speed != "" && !toMeasure && !asMarkdown:
				return usagef("--speed is about --markdown and --measure; give one of them")
			case toMeasure:
				for _, name := range args {
					if _, err := lookupModel(name); err != nil {
						return err
					}
				}
				ctx, stop := interruptible(cmd)
				defer stop()
				return hearing(ctx, func() error { return measureModels(ctx, cmd, speed, args) })
			}
			if asMarkdown && asJSON {
				return usagef("--markdown and --json are two forms of one list; give one of them")
			}
			rows, err := listModels()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), rows)
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
			printf(cmd, "\nThe nets for CIFAR have a name for every depth 6n+2, such as cifar-resnet1202. Where there are blocks,\n"+
				"train and summary take other numbers of them in each stage: --blocks.\n")
			return nil
		},
	}
	cmd.Flags().BoolVar(&asMarkdown, "markdown", false, "print tables in Markdown, with the multiply-adds")
	cmd.Flags().BoolVar(&toMeasure, "measure", false, "measure the speed of the models named, else of all that --speed lacks")
	cmd.Flags().StringVar(&speed, "speed", "", "file of measured speeds")
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
		input := fmt.Sprintf("%dx%dx%d", r.Channels, r.Height, r.Width)
		if r.FixedSize {
			input += " only"
		}
		t.Row("  "+r.Name, report.Count(r.Parameters), input, fmt.Sprint(r.Classes), joinInts(r.Blocks), r.Description)
	}
	return t
}

func listModels() ([]modelRow, error) {
	var rows []modelRow
	for _, name := range models.Names() {
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

// lookupModel finds a model by name; the error is one about the command line.
func lookupModel(name string) (models.Entry, error) {
	e, err := models.Lookup(name)
	if err != nil {
		return e, usagef("%w; `residual models` describes them", err)
	}
	return e, nil
}

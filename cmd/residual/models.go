package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/report"
)

// modelRow is a line of the list of models.
type modelRow struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Parameters  int64  `json:"parameters"`
	Channels    int    `json:"channels"`
	Height      int    `json:"height"`
	Width       int    `json:"width"`
	FixedSize   bool   `json:"fixed_size"` // takes no other height and width
	Classes     int    `json:"classes"`
	Source      string `json:"source"`
}

func modelsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "models",
		Short: "List the models that have a name",
		Long: `List the models that train, summary and bench take by name, with the parameters
they have for their own number of channels and classes.`,
		Example: "  residual models\n  residual models --json",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			rows, err := listModels()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), rows)
			}
			t := report.NewTable(report.Column{Title: "model"}, report.Column{Title: "parameters", Align: report.Right},
				report.Column{Title: "input"}, report.Column{Title: "classes", Align: report.Right}, report.Column{Title: "description"})
			for _, r := range rows {
				input := fmt.Sprintf("%dx%dx%d", r.Channels, r.Height, r.Width)
				if !r.FixedSize {
					input += " or any size"
				}
				t.Row(r.Name, report.Count(r.Parameters), input, fmt.Sprint(r.Classes), r.Description)
			}
			return t.Write(cmd.OutOrStdout())
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func listModels() ([]modelRow, error) {
	var rows []modelRow
	for _, name := range models.Names() {
		e, err := models.Lookup(name)
		if err != nil {
			return nil, err
		}
		row := modelRow{
			Name: e.Name, Description: e.Description, Source: e.Source, Classes: e.Classes, Parameters: e.Params,
			Channels: e.Channels, Height: e.Height, Width: e.Width, FixedSize: e.FixedSize,
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

package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/measure"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/report"
)

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

// modelsTable lists the models by family.
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

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/report"
)

func dataCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "data",
		Short: "List, fetch and check data sets",
		Long: `List, fetch and check data sets.

Files are looked for in --data-dir alone when it is given, else in the folder
that RESIDUAL_DATA names, else in the user's cache folder; what is missing is
downloaded. Every file is verified by the digest of its content.`,
		Example: `  residual data list
  residual data fetch fashion-mnist
  residual data check fashion-mnist --data-dir ~/data`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	cmd.AddCommand(dataListCommand(), dataFetchCommand(), dataCheckCommand())
	return cmd
}

func dataListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the data sets that have a name",
		Example: "  residual data list\n  residual data list --json",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), data.Names())
			}
			t := report.NewTable(report.Column{Title: "data set"}, report.Column{Title: "what it is"}, report.Column{Title: "what it needs"})
			for _, s := range data.Names() {
				t.Row(s.Name, s.About, s.Needs)
			}
			return t.Write(cmd.OutOrStdout())
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func dataFetchCommand() *cobra.Command {
	var flags dataFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "fetch NAME...",
		Short: "Download the files of a data set",
		Long: `Download the files of a data set that are missing or damaged, into --data-dir,
or the folder that RESIDUAL_DATA names, or the user's cache folder.`,
		Example: `  residual data fetch fashion-mnist
  residual data fetch fashion-mnist --data-dir ~/data`,
		Args:              someData,
		ValidArgsFunction: completeData,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			type fetched struct {
				Name   string `json:"name"`
				Folder string `json:"folder"` // empty where no files are needed
			}
			var all []fetched
			for _, name := range args {
				dir, err := data.Fetch(ctx, name, flags.options(cmd, data.Train))
				if err != nil {
					return err
				}
				all = append(all, fetched{name, dir})
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			for _, f := range all {
				if f.Folder == "" {
					printf(cmd, "%s: nothing to fetch, the program draws it\n", f.Name)
					continue
				}
				printf(cmd, "%s: all files are in %s\n", f.Name, f.Folder)
			}
			return nil
		},
	}
	flags.add(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func dataCheckCommand() *cobra.Command {
	var flags dataFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check NAME...",
		Short: "Verify the files of a data set that lie here",
		Long: `Verify the files of a data set as they lie here, downloading nothing: digests,
sizes, labels, and the mean and deviation of the pixels. The exit status is 1 when
something is wrong.`,
		Example: `  residual data check fashion-mnist
  residual data check fashion-mnist --data-dir ~/data --json
  residual data check garments`,
		Args:              someData,
		ValidArgsFunction: completeData,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			var reports []*data.Report
			for _, name := range args {
				r, err := data.Check(ctx, name, flags.options(cmd, data.Train))
				if err != nil {
					return err
				}
				reports = append(reports, r)
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), reports); err != nil {
					return err
				}
			} else {
				for _, r := range reports {
					if err := writeCheck(cmd, r); err != nil {
						return err
					}
				}
			}
			return worstProblem(reports)
		},
	}
	flags.add(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// writeCheck prints what was found of one data set.
func writeCheck(cmd *cobra.Command, r *data.Report) error {
	printf(cmd, "%s\n", r.Name)
	right := func(title string) report.Column { return report.Column{Title: title, Align: report.Right} }
	t := report.NewTable(report.Column{Title: "file"}, report.Column{Title: "split"}, report.Column{Title: "kind"}, right("count"),
		right("labels"), right("pixel mean"), right("pixel deviation"), report.Column{Title: "digest"}, report.Column{Title: "found"})
	t.Indent = 2
	for _, f := range r.Files {
		labels, mean, deviation, digest := "", "", "", "differs"
		if len(f.Histogram) > 0 {
			labels = fmt.Sprintf("%d to %d", f.LabelMin, f.LabelMax)
		}
		if f.PixelStd > 0 {
			mean, deviation = fmt.Sprintf("%.4f", f.PixelMean), fmt.Sprintf("%.4f", f.PixelStd)
		}
		switch {
		case f.DigestOK:
			digest = "ok"
		case f.MD5 == "":
			digest = "-"
		}
		found := f.Path
		if f.Problem != "" {
			found = strings.TrimSpace(f.Path + " " + f.Problem)
		}
		t.Row(f.File, string(f.Split), f.Kind, report.Count(int64(f.Count)), labels, mean, deviation, digest, found)
	}
	return t.Write(cmd.OutOrStdout())
}

// worstProblem is the error that stands for all reports.
func worstProblem(reports []*data.Report) error {
	for _, r := range reports {
		bad, first := 0, ""
		for _, f := range r.Files {
			if f.Problem == "" {
				continue
			}
			if bad++; first == "" {
				first = strings.TrimSpace(f.File + " " + f.Problem)
				if f.Path != "" {
					first = f.Path + ": " + f.Problem
				}
			}
		}
		if bad == 1 {
			return fmt.Errorf("%s: %s", r.Name, first)
		}
		if !r.OK {
			return fmt.Errorf("%s: %d of %d files are not good; the first: %s", r.Name, bad, len(r.Files), first)
		}
	}
	return nil
}

// someData demands names of data sets.
func someData(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%s takes the name of a data set: one of %s", cmd.CommandPath(), strings.Join(dataNames(), ", "))
	}
	for _, name := range args {
		if err := knownData(name); err != nil {
			return err
		}
	}
	return nil
}

// knownData complains about a name that is no data set.
func knownData(name string) error {
	if slices.Contains(dataNames(), name) {
		return nil
	}
	return usagef("data set %q is not known, and there is no such folder; choose one of %s, or name a folder of pictures", name, strings.Join(dataNames(), ", "))
}

// dataOrFolder completes the name of a data set, or a path.
func dataOrFolder(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return dataNames(), cobra.ShellCompDirectiveDefault
}

func completeData(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return dataNames(), cobra.ShellCompDirectiveNoFileComp
}

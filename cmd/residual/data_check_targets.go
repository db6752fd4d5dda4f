package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/settings"
)

// targetFlags say what a list has of its images.
type targetFlags struct{ task, columns string }

func addTargets(cmd *cobra.Command, f *targetFlags) {
	cmd.Flags().StringVar(&f.task, "task", "classes", "what a list has of its images: classes, or columns of labels or values, as for train")
	cmd.Flags().StringVar(&f.columns, "columns", "", settings.Of("Columns").Help)
	takes(cmd.Flags(), "NAME", "task")
	describeSetting(cmd.Flags(), settings.Of("Columns"))
	inGroup(cmd.Flags(), settings.Data, "task")
	common(cmd.Flags(), "task")
	_ = cmd.RegisterFlagCompletionFunc("task", words("classes", "labels", "values"))
}

// scan lists a folder or a list.
func (f targetFlags) scan(ctx context.Context, path string) (*folder.Index, error) {
	of, err := task.Parse(f.task)
	switch {
	case err != nil:
		return nil, usagef("--task %s is not known; choose classes, labels or values", f.task)
	case of == task.Classes && f.columns != "":
		return nil, usagef("--columns is for labels and values; say which with --task")
	case of == task.Classes:
		return folder.ScanContext(ctx, path)
	}
	c := folder.Columns{Task: of}
	for _, name := range strings.Split(f.columns, ",") {
		if name = strings.TrimSpace(name); name != "" {
			c.Names = append(c.Names, name)
		}
	}
	return folder.ScanTargets(ctx, path, c)
}

// answers shows how many images have labels or values.
func (c *photoCheck) answers(b *strings.Builder) {
	sum := len(c.Broken)
	for _, n := range c.Formats {
		sum += n
	}
	fmt.Fprintf(b, "%s: %s with %s\n", c.path, plural(sum, "image"), c.Task)
	if len(c.Labels) == 0 {
		return
	}
	t := report.NewTable(report.Column{Title: "label"}, report.Column{Title: "to train on", Align: report.Right}, report.Column{Title: "to test on", Align: report.Right})
	t.Indent = 2
	for _, k := range c.Labels {
		t.Row(k.Name, report.Count(int64(k.Train)), report.Count(int64(k.Test)))
	}
	b.WriteString(t.String())
}

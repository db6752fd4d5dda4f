package main

import (
	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/report"
)

// cacheResult is what data cache --json prints.
type cacheResult struct {
	Folder  string               `json:"folder"`
	Caches  []folder.CacheFolder `json:"caches"`
	Bytes   int64                `json:"bytes"`
	Removed bool                 `json:"removed"`
}

func dataCacheCommand() *cobra.Command {
	var dir string
	var clear, asJSON bool
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "List and clear the decoded images that trainings keep",
		Long: `List and clear the decoded images that ` + "`residual train`" + ` keeps, so that it need not
decode large photos again in every epoch and every run (--cache there). There is a
cache for every folder of images and every size they are prepared at. Nothing is lost
with them but the time to decode the images again.`,
		Example: `  residual data cache
  residual data cache --clear
  residual data cache --cache /scratch/images --json`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := cacheResult{Folder: dir, Removed: clear}
			var err error
			if r.Folder == "" {
				if r.Folder, err = folder.CacheHome(); err != nil {
					return err
				}
			}
			if r.Caches, err = folder.Caches(r.Folder); err != nil {
				return err
			}
			for _, p := range r.Caches {
				r.Bytes += p.Bytes
				if clear {
					if err := p.Remove(); err != nil {
						return err
					}
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return r.write(cmd)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&dir, "cache", "", "the folder that trainings were given (default: in the user's cache folder)")
	fs.BoolVar(&clear, "clear", false, "remove them")
	_ = cmd.MarkFlagDirname("cache")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (r cacheResult) write(cmd *cobra.Command) error {
	if len(r.Caches) == 0 {
		printf(cmd, "no decoded images in %s\n", r.Folder)
		return nil
	}
	t := report.NewTable(report.Column{Title: "decoded images"}, report.Column{Title: "bytes", Align: report.Right}, report.Column{Title: "written"})
	for _, p := range r.Caches {
		t.Row(p.Path, report.Bytes(p.Bytes), p.Used.Format("2006-01-02 15:04"))
	}
	if err := t.Write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if r.Removed {
		printf(cmd, "removed, %s\n", report.Bytes(r.Bytes))
		return nil
	}
	printf(cmd, "%s in all; --clear removes them\n", report.Bytes(r.Bytes))
	return nil
}

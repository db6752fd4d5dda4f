package main

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/internal/nearest"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/settings"
)

// dataFlags say where data sets are looked for.
type dataFlags struct {
	dir     string
	offline bool
}

func (f *dataFlags) add(cmd *cobra.Command) {
	dir, offline := settings.Of("DataDir"), settings.Of("Offline")
	cmd.Flags().StringVar(&f.dir, dir.Flag(), "", dir.Help)
	cmd.Flags().BoolVar(&f.offline, offline.Flag(), false, offline.Help)
	describeSetting(cmd.Flags(), dir)
	describeSetting(cmd.Flags(), offline)
	_ = cmd.MarkFlagDirname(dir.Flag())
}

// options returns the options for one part of a data set. Downloads are shown on stderr.
func (f *dataFlags) options(cmd *cobra.Command, split data.Split) data.Options {
	return data.Options{
		Dir: f.dir, Split: split, Offline: f.offline,
		Progress: showDownloads(cmd.ErrOrStderr()),
	}
}

// showDownloads shows one download after the other. The drawing of images is not shown,
// because it is quick.
func showDownloads(w io.Writer) func(done, total int64, what string) {
	shown, tell := "", func(done, total int64) {}
	count := showCount(w)
	return func(done, total int64, what string) {
		switch {
		case strings.HasPrefix(what, "draw"):
			return
		case what == train.CheckingImages:
			count(int(done), int(total))
			return
		}
		if what != shown {
			shown, tell = what, report.Download(direct(w), what)
		}
		tell(done, total)
	}
}

// dataNames returns the names of the data sets, for completion and errors.
func dataNames() []string {
	var names []string
	for _, s := range data.Names() {
		names = append(names, s.Name)
	}
	return names
}

// knownData returns an error for a name that is no data set, with the nearest ones.
func knownData(name string) error {
	if slices.Contains(dataNames(), name) {
		return nil
	}
	return usagef("data set %q is not known, and there is no such folder; %schoose one of %s, or name a folder of images",
		name, nearest.Aside(name, dataNames(), "%s"), strings.Join(dataNames(), ", "))
}

// dataOrFolder completes the name of a data set, or a path.
func dataOrFolder(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return dataNames(), cobra.ShellCompDirectiveDefault
}

// knownSource returns an error for what is neither the name of a data set nor a path.
func knownSource(name string) error {
	if folder.IsPath(name) {
		return nil // what is there is said when it is opened
	}
	return knownData(name)
}

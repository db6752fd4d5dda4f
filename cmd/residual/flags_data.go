package main

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data"
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
	cmd.Flags().StringVar(&f.dir, "data-dir", "", settings.Of("DataDir").Help)
	cmd.Flags().BoolVar(&f.offline, "offline", false, settings.Of("Offline").Help)
	_ = cmd.MarkFlagDirname("data-dir")
}

// options are those of one part of a data set; downloads are shown on stderr.
func (f *dataFlags) options(cmd *cobra.Command, split data.Split) data.Options {
	return data.Options{
		Dir: f.dir, Split: split, Offline: f.offline,
		Progress: showDownloads(cmd.ErrOrStderr()),
	}
}

// showDownloads shows one download after the other. Drawing images is no
// download, and soon over.
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

// dataNames are the names of the data sets, for completion and complaints.
func dataNames() []string {
	var names []string
	for _, s := range data.Names() {
		names = append(names, s.Name)
	}
	return names
}

// knownData complains about a name that is no data set.
func knownData(name string) error {
	if slices.Contains(dataNames(), name) {
		return nil
	}
	return usagef("data set %q is not known, and there is no such folder; choose one of %s, or name a folder of images", name, strings.Join(dataNames(), ", "))
}

// dataOrFolder completes the name of a data set, or a path.
func dataOrFolder(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return dataNames(), cobra.ShellCompDirectiveDefault
}

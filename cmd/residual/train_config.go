package main

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/settings"
)

// fileFlags are those of settings in a file.
type fileFlags struct {
	path  string
	print bool
}

func (f *fileFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.path, "config", "", "file of settings, as a run has one; flags win")
	takes(fs, "FILE|RUN", "config")
	fs.BoolVar(&f.print, "print-config", false, "print the settings that would be used as such a file, and end")
	inGroup(fs, settings.Run, "config", "print-config")
}

// filled is g with the settings of --config where no flag gives another, and changed for both.
// Settings without a flag are in c.
func (f *trainFlags) filled(c *train.Config, g train.Config, changed func(flag string) bool) (train.Config, func(flag string) bool, error) {
	if !changed("config") {
		return g, changed, nil
	}
	if f.file.path == "" {
		return g, nil, usagef("--config is empty; give a file of settings, such as runs/train-1/settings.yaml")
	}
	file, fields, err := train.ReadConfig(f.file.path)
	if err != nil {
		return g, nil, usagef("--config: %w", err)
	}
	var given []string
	from, to := reflect.ValueOf(file), reflect.ValueOf(&g).Elem()
	for _, field := range fields {
		s := settings.Of(field)
		switch {
		case s.Flag() == "":
			to := reflect.ValueOf(c).Elem()
			to.FieldByName(field).Set(from.FieldByName(field))
		case !changed(s.Flag()):
			given = append(given, s.Flag())
			to.FieldByName(field).Set(from.FieldByName(field))
		}
	}
	if slices.Contains(given, "threads") {
		f.device.threads = file.Threads
	}
	return g, func(flag string) bool { return changed(flag) || slices.Contains(given, flag) }, nil
}

// printConfig prints settings as a file that --config takes.
func printConfig(cmd *cobra.Command, c train.Config) error {
	text, err := settings.Write(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "# for residual train --config FILE\n%s", text)
	return err
}

package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/report"
)

func dataMakeCommand() *cobra.Command {
	c := folder.MakeConfig{PerClass: 40, Turned: 0.2}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "make FOLDER",
		Short: "Draw a folder of images to try a training on",
		Long: `Draw a folder of images to try a training on: garments in colour, as JPEG files of
varied sizes, one folder a class, some lying on their side and turned upright by
their EXIF data. --broken cuts files short, as downloads do. The folder must be new
or empty. The same settings draw the same images.`,
		Example: `  residual data make photos/
  residual data make photos/ --per-class 200 --broken 2
  residual data make photos/ --val 10 --seed 7`,
		Args: exactly(1, "a folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			if c.PerClass == 0 {
				return usagef("--per-class 0: must be above 0")
			}
			if err := folder.Make(ctx, args[0], c); err != nil {
				if ctx.Err() != nil {
					return errors.New("interrupted: not all images were drawn")
				}
				return err
			}
			x, err := folder.ScanContext(ctx, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					Folder  string   `json:"folder"`
					Images  int      `json:"images"`
					Classes []string `json:"classes"`
				}{args[0], len(x.Items), x.Classes})
			}
			printf(cmd, "%s: %s images of %d classes; look at them with `residual data check %s`\n",
				args[0], report.Count(int64(len(x.Items))), len(x.Classes), shell.Quote(args[0]))
			return nil
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.IntVar(&c.PerClass, "per-class", c.PerClass, "images of each class")
	fs.IntVar(&c.Val, "val", 0, "more of each class in a folder val, beside one called train (default: no such folders)")
	fs.Float64Var(&c.Turned, "turned", c.Turned, "share of images that lie on their side or are mirrored, and say so in EXIF data")
	fs.IntVar(&c.Broken, "broken", 0, "files of the first class that are cut short")
	fs.Uint64Var(&c.Seed, "seed", 0, "random seed of what is drawn")
	jsonFlag(cmd, &asJSON)
	return cmd
}

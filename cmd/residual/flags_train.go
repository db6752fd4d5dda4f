package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/settings"
)

// trainFlags are the flags of train. Settings that are not given take the values that suit the
// data set and the model.
type trainFlags struct {
	cmd    *cobra.Command
	config train.Config
	device deviceFlags
	files  dataFlags
	report reportFlags
	grow   []string // depths or blocks of a growth
	resume string   // a run folder
	named  bool     // the data, on the command line
	plain  bool
	json   bool
	ahead  forecastFlags
	file   fileFlags
}

// add adds the flags. The help shows the defaults of the recipes; only flags that are given
// change a setting.
func (f *trainFlags) add(cmd *cobra.Command) {
	fs, c, shown := cmd.Flags(), &f.config, tableDefaults()
	f.cmd = cmd
	fs.SortFlags = false
	rows := settings.In(settings.Groups()...)
	addSettings(fs, c, shown, nil, slices.DeleteFunc(rows, func(s settings.Setting) bool {
		return slices.Contains([]string{"DataDir", "Offline", "Threads", "Precision"}, s.Field) // which other commands have, too
	})...)
	describeRecipes(fs)
	fs.StringSliceVar(&f.grow, "grow", nil, "blocks or depths to grow through, such as 18,26,34 or 1-1-1,2-2-2")
	takes(fs, "N,N,...", "grow")
	note(fs, "grow", noteMore, "The added blocks change nothing at first. The epochs are divided over the depths.")
	inGroup(fs, settings.Model, "grow")
	fs.StringVar(&f.resume, "resume", "", "go on with the run in this folder")
	takes(fs, "RUN", "resume")
	note(fs, "resume", noteMore, "It keeps its settings; last stands for the newest run.")
	f.ahead.add(cmd)
	f.file.add(fs)
	fs.BoolVar(&f.plain, "plain", false, "plain lines in place of the bar and the curves")
	note(fs, "plain", noteMore, "They are those of an output that is no terminal: one an epoch, at most one in five seconds, and one a minute within a long epoch.")
	inGroup(fs, settings.Run, "resume", "plain")
	common(fs, "resume", "budget", "config")
	f.report.addNone(cmd)
	f.files.add(cmd)
	f.device.addTraining(cmd)
	jsonFlag(cmd, &f.json)
	_ = cmd.MarkFlagDirname("out")
	_ = cmd.MarkFlagDirname("resume")
	completeSettings(cmd)
}

// completeSettings adds completions to the flags of settings.
func completeSettings(cmd *cobra.Command) {
	for _, s := range settings.In(settings.Groups()...) {
		if s.Range.Words != nil && s.Field != "Precision" {
			_ = cmd.RegisterFlagCompletionFunc(s.Flag(), words(s.Range.Words...))
		}
	}
	for flag, complete := range map[string]cobra.CompletionFunc{
		"data": dataOrFolder, "schedule": words(optim.ScheduleNames()...), "freeze": words(train.FreezeStem, train.FreezeBackbone),
		"class-weights": words(train.Balanced),
		"cache":         cobra.FixedCompletions([]cobra.Completion{train.CacheAuto, train.CacheOff}, cobra.ShellCompDirectiveDefault),
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, complete)
	}
}

// given returns c changed by the flags that were given, and by the file of --config.
func (f *trainFlags) given(c train.Config, changed func(flag string) bool) (train.Config, error) {
	g := f.config
	g.DataDir, g.Offline, g.Precision = f.files.dir, f.files.offline, f.device.precision
	g, changed, err := f.filled(&c, g, changed)
	if err != nil {
		return c, err
	}
	f.named = changed("data")
	if changed("teacher") {
		if g.Teacher, err = checkpoint.FindModel(g.Teacher); err != nil {
			return c, usagef("--teacher: %w", err)
		}
	}
	if changed("weights") { // taken first: the others win
		if g.Weights, err = checkpoint.FindModel(g.Weights); err != nil {
			return c, usagef("--weights: %w", err)
		}
		c = startFrom(c, g.Weights)
	}
	rows := slices.DeleteFunc(settings.Table(), func(s settings.Setting) bool {
		return s.Field == "Threads" // of the device, once it is open
	})
	if err := takeSettings(&c, g, changed, rows...); err != nil {
		return c, err
	}
	return settled(c, g, changed)
}

// startFrom takes the size and the data from a model file with the first weights; the library
// takes the model. A file of weights alone says nothing, and an error in the file is reported
// when the weights are read.
func startFrom(c train.Config, path string) train.Config {
	c.Weights = path
	about, err := modelfile.Describe(path)
	if err != nil {
		return c
	}
	c.Resize = about.Height
	if folder.IsPath(about.Dataset) || slices.Contains(dataNames(), about.Dataset) {
		c.Data = about.Dataset
	}
	return c
}

// check returns the first error in the settings, before anything is opened.
func (f *trainFlags) check(c train.Config) error {
	r := c.Resolved()
	e, err := lookupModel(r.Model)
	if err != nil {
		return err
	}
	if err := knownSource(r.Data); err != nil {
		return err
	}
	if _, err := os.Stat(r.Data); r.IsPhotos() && err != nil && c.Weights != "" && !f.named {
		return usagef("%s was trained on %s, which is not here; name the images to train on with --data", c.Weights, filepath.Base(r.Data))
	}
	if err := c.Check(); err != nil {
		return usageError{fmt.Errorf("%w; `%s --help` describes the flags", err, f.cmd.CommandPath())}
	}
	if err := room(8 * e.Count(models.Config{Blocks: r.Blocks})); err != nil { // weights and their gradients
		return usagef("--model %s: %w; choose a smaller net", r.Model, err)
	}
	return nil
}

// fileFlags are the flags about settings in a file.
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

// filled returns g with the settings of --config that no flag gives, and changed for flags and
// file together. It puts settings without a flag into c.
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

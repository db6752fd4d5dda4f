package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/lines"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/train/settings"
)

// imageFlags say which model a file of weights belongs to, what its classes are called and how
// images are prepared. They win over what the file itself says.
type imageFlags struct {
	config  exchange.ModelConfig
	classes string // a file
	scale   string // a number or a fraction
}

// imagesHelp describes these flags in the help of every command that has them.
const imagesHelp = `Images are resized and then cut out or, with --squash, resized to --size on both sides.
--resize is the shorter side, or --crop the share of it that is cut out. With --size
alone the proportion stays: 256 of 224 becomes 109 of 96. Bytes are multiplied by
--scale (1/255 gives 0 to 1, 1 leaves 0 to 255), --mean is subtracted, and the result
divided by --std; with --bgr the channels are blue, green and red there, too.`

func (f *imageFlags) add(cmd *cobra.Command, otherwise string) {
	fs, c := cmd.Flags(), &f.config
	fs.StringVar(&c.Model, "model", "", "model whose weights they are (default: found by names and shapes, or by what a graph computes)")
	fs.StringVar(&f.classes, "classes", "", "file of the classes' names, one on each line")
	fs.IntVar(&c.Images.Resize, "resize", 0, "pixels that the shorter side of images is resized to (default: "+otherwise+")")
	fs.Float64Var(&c.Images.Crop, "crop", 0, "share of the resized shorter side that is cut out, such as 0.875, in place of --resize")
	fs.IntVar(&c.Images.Size, "size", 0, "pixels of both sides of the middle that is cut out (default: "+otherwise+")")
	fs.BoolVar(&c.Images.Squash, "squash", false, "resize both sides to --size, and cut nothing out")
	fs.StringVar(&c.Images.Interpolation, "interpolation", "", "interpolation of resizing: "+strings.Join(prepare.Interpolations(), ", ")+" (default: "+otherwise+")")
	fs.StringVar(&f.scale, "scale", "", "what bytes are multiplied by before the mean: 1/255, 1, 1/127.5 ... (default: "+otherwise+", or 1/255)")
	fs.Float64SliceVar(&c.Images.Mean, "mean", nil, "mean of each channel, after --scale (default: "+otherwise+")")
	fs.Float64SliceVar(&c.Images.Std, "std", nil, "std of each channel (default: "+otherwise+")")
	fs.BoolVar(&c.Images.BGR, "bgr", false, "the channels are blue, green and red")
	fs.StringVar(&c.Output, "logits", "", "output of an ONNX graph that has several (default: the first that is [N, classes])")
	takes(fs, "NAME", "model", "interpolation", "logits")
	takes(fs, "FILE", "classes")
	takes(fs, "X|X/X", "scale")
	inGroup(fs, settings.Model, "model", "logits")
	inGroup(fs, settings.Data, "classes", "resize", "crop", "size", "squash", "interpolation", "scale", "mean", "std", "bgr")
	common(fs, "classes")
	_ = cmd.RegisterFlagCompletionFunc("model", words(models.Names()...))
	_ = cmd.RegisterFlagCompletionFunc("interpolation", words(prepare.Interpolations()...))
}

func (f *imageFlags) check(cmd *cobra.Command) (err error) {
	c := &f.config
	changed := cmd.Flags().Changed
	switch {
	case c.Images.Interpolation != "" && !slices.Contains(prepare.Interpolations(), c.Images.Interpolation):
		return usagef("--interpolation %s is not known; choose one of %s", c.Images.Interpolation, strings.Join(prepare.Interpolations(), ", "))
	case len(c.Images.Mean) != len(c.Images.Std):
		return usagef("--mean has %d numbers and --std %d; give one for each channel with both", len(c.Images.Mean), len(c.Images.Std))
	case changed("crop") && !(c.Images.Crop > 0 && c.Images.Crop <= 1):
		return usagef("--crop %v: give a share above 0 and at most 1", c.Images.Crop)
	case changed("crop") && changed("resize"):
		return usagef("--crop and --resize say the same; give one of them")
	case c.Images.Squash && (changed("crop") || changed("resize")):
		return usagef("--squash cuts nothing out; leave --crop and --resize out")
	}
	for name, v := range map[string]int{"resize": c.Images.Resize, "size": c.Images.Size} {
		if v < 1 && changed(name) || v > prepare.MaxSide {
			return usagef("--%s %d: give 1 to %d pixels", name, v, prepare.MaxSide)
		}
	}
	if c.Images.Resize > 0 && c.Images.Size > c.Images.Resize {
		return usagef("--size %d is more than --resize %d leaves; give at most that", c.Images.Size, c.Images.Resize)
	}
	if changed("scale") {
		if c.Images.Scale, err = fraction(f.scale); err != nil {
			return usagef("--scale %s: give a number above 0, or a fraction such as 1/255", f.scale)
		}
	}
	if c.Model != "" {
		if _, err := lookupModel(c.Model); err != nil {
			return err
		}
	}
	if f.classes != "" {
		c.Classes, err = readClasses(f.classes)
	}
	return err
}

// fraction reads 1/255 or 0.5, which must be above 0.
func fraction(text string) (float64, error) {
	above, below, divided := strings.Cut(text, "/")
	v, err := strconv.ParseFloat(strings.TrimSpace(above), 64)
	if divided && err == nil {
		var d float64
		d, err = strconv.ParseFloat(strings.TrimSpace(below), 64)
		v /= d
	}
	if err == nil && !(v > 0 && !math.IsInf(v, 0)) {
		err = errors.New("not above 0")
	}
	return v, err
}

// open opens the model that a user names, a file or a run folder, on the device of the flags,
// and says on standard error what had to be chosen. The caller closes the device. path is the
// model's file.
func (f *imageFlags) open(cmd *cobra.Command, name string, d *deviceFlags) (path string, dev engine.Device, c *inference.Classifier, err error) {
	if path, err = modelPath(name); err != nil {
		return "", nil, nil, err
	}
	if dev, err = d.open(); err != nil {
		return "", nil, nil, err
	}
	if c, err = f.load(cmd, path, d, dev); err != nil {
		dev.Close()
		return "", nil, nil, err
	}
	return path, dev, c, nil
}

// load is open for a model's file and a device that is open.
func (f *imageFlags) load(cmd *cobra.Command, path string, d *deviceFlags, dev engine.Device) (*inference.Classifier, error) {
	c, notes, err := inference.LoadAs(path, f.config, dev, d.forModel(dev))
	if err != nil {
		return nil, asked(cmd, err)
	}
	if c.Precision() == engine.INT8 && inference.PreferredFor(c.Module(), dev) != engine.INT8 {
		return nil, usagef("--precision int8: %s is not quantised; `residual quantize` makes a model that is", path)
	}
	sayChosen(cmd, path, chosen(c.Info(), notes))
	return c, nil
}

// chosen describes the network and the preparation that were chosen for a file of another
// program. It returns nil if the file describes itself.
func chosen(about checkpoint.Model, notes []string) []string {
	if len(notes) == 0 {
		return nil
	}
	return append([]string{titleOf(about) + "; images: " + about.Preparation()}, notes...)
}

// sayChosen says on standard error what had to be chosen for a file.
func sayChosen(cmd *cobra.Command, path string, notes []string) {
	for _, n := range notes {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", path, oneLine(n))
	}
}

// flagOf maps the fields of exchange.ModelConfig to flags.
var flagOf = map[string]string{
	"Model": "model", "Output": "logits", "Resize": "resize", "Crop": "crop", "Squash": "squash", "Size": "size",
	"Interpolation": "interpolation", "Scale": "scale", "Mean": "mean", "Std": "std",
}

// notesOf returns a model's notes with flags in place of the fields of exchange.ModelConfig.
func notesOf(m *modelfile.Model) (notes []string) {
	for _, n := range m.Notes {
		notes = append(notes, field.InText(n, "ModelConfig", flagFor))
	}
	return notes
}

// asked names the command's flags in an error about something that no file says. If the command
// is nil or lacks them, the error names a command that has them.
func asked(cmd *cobra.Command, err error) error {
	e := new(exchange.UnsaidError)
	if !errors.As(err, &e) {
		return err
	}
	var flags []string
	where := ""
	for _, field := range e.Fields {
		flags = append(flags, "--"+flagOf[field])
		if cmd == nil || cmd.Flags().Lookup(flagOf[field]) == nil {
			where = "to residual import, and use the model file that it makes"
		}
	}
	return errors.New(e.With(flags, where))
}

// readClasses reads the names of classes, one on each line.
func readClasses(path string) ([]string, error) {
	content, err := regular.ReadFile(path, 16<<20)
	if err != nil {
		return nil, fmt.Errorf("--classes: %w", err)
	}
	names, err := lines.Names(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("--classes: %s: %w", path, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("--classes: %s is empty; give one name on each line", path)
	}
	return names, nil
}

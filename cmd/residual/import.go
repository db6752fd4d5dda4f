package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/report"
)

// importFlags are the settings of import.
type importFlags struct {
	config  exchange.ModelConfig
	classes string // a file
	out     string
	json    bool
}

// importResult is what import --json prints.
type importResult struct {
	Path       string           `json:"path"`
	Bytes      int64            `json:"bytes"`
	Parameters int64            `json:"parameters"`
	Model      checkpoint.Model `json:"model"`
	Notes      []string         `json:"notes,omitempty"`
}

func importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import WEIGHTS -o MODEL",
		Short: "Make a model file of weights that another program trained",
		Long: `Make a model file, such as eval, predict, summary and export take, of weights that
another program trained: a .safetensors, .pth or .pt, .npz or .onnx file, told apart
by what it holds, or the index of shards (model.safetensors.index.json), or the folder of
either. The names are torchvision's, timm's or Hugging Face's for residual networks, with
or without a prefix that all share. What is clearly of a loss or a metric is left out.

The model is found by the names and shapes of the weights, or given with --model. A
file of weights, unless residual wrote it, has no names of classes: --classes gives
them, one a line. Names of classes and how images are prepared are also read from
config.json (timm's or transformers') and preprocessor_config.json beside the weights,
as residual pull lays them there; where config.json or the file itself names a network that
is not computed here, such as timm's resnetaa50, the weights are refused. Where neither these nor the flags say otherwise, images
are prepared as the model's own weights want it (see residual models --json): the
shorter side resized, the middle cut out, less the mean, over the deviation, to the bit
as torchvision does it.`,
		Example: `  residual import resnet50.pth -o resnet50.safetensors
  residual import model.safetensors --classes imagenet.txt -o resnet50.safetensors
  residual import a1.safetensors --resize 236 --interpolation bicubic -o resnet50-a1.safetensors
  residual import net.npz --model cifar-resnet20 -o net.safetensors`,
		Args: exactly(1, "a file of weights"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return f.run(cmd, args[0])
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.out, "out", "o", "", "model file to write")
	fs.StringVar(&f.config.Model, "model", "", "model whose weights they are (default: found by names and shapes)")
	fs.StringVar(&f.config.Zeros, "zeros", "", "of cifar-resnet and cifar-preresnet: where shortcuts add channels of zeros, last or both, half of them before the others (default: last)")
	fs.StringSliceVar(&f.config.Ignore, "ignore", nil, "tensors to leave out, by their names or what these begin with: criterion,aux")
	fs.StringVar(&f.classes, "classes", "", "file of the classes' names, one a line")
	fs.IntVar(&f.config.Resize, "resize", 0, "pixels that the shorter side of images is resized to (default: the model's)")
	fs.IntVar(&f.config.Size, "size", 0, "pixels of both sides of the middle that is cut out (default: the model's)")
	fs.StringVar(&f.config.Interpolation, "interpolation", "", "of resizing: bilinear or bicubic (default: the model's)")
	fs.Float64SliceVar(&f.config.Mean, "mean", nil, "of each channel, in shares of white (default: the model's)")
	fs.Float64SliceVar(&f.config.Std, "std", nil, "deviation of each channel (default: the model's)")
	jsonFlag(cmd, &f.json)
	_ = cmd.RegisterFlagCompletionFunc("model", words(models.Names()...))
	_ = cmd.RegisterFlagCompletionFunc("interpolation", words("bilinear", "bicubic"))
	return cmd
}

func (f *importFlags) check(cmd *cobra.Command) error {
	c := f.config
	switch {
	case f.out == "":
		return usagef("name the model file to write with -o; `%s --help` has examples", cmd.CommandPath())
	case c.Zeros != "" && c.Zeros != exchange.ZerosLast && c.Zeros != exchange.ZerosBoth:
		return usagef("--zeros %s is not known; choose last or both", c.Zeros)
	case c.Interpolation != "" && c.Interpolation != "bilinear" && c.Interpolation != "bicubic":
		return usagef("--interpolation %s is not known; choose bilinear or bicubic", c.Interpolation)
	case len(c.Mean) != len(c.Std):
		return usagef("--mean has %d numbers and --std %d; give one for each channel with both", len(c.Mean), len(c.Std))
	}
	for name, v := range map[string]int{"resize": c.Resize, "size": c.Size} {
		if v < 1 && cmd.Flags().Changed(name) || v > 4096 {
			return usagef("--%s %d: give 1 to 4096 pixels", name, v)
		}
	}
	if c.Model != "" {
		if _, err := lookupModel(c.Model); err != nil {
			return err
		}
	}
	return nil
}

func (f *importFlags) run(cmd *cobra.Command, path string) (err error) {
	if f.classes != "" {
		if f.config.Classes, err = readClasses(f.classes); err != nil {
			return err
		}
	}
	r, err := importModel(path, f.out, f.config)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	printf(cmd, "%s", r.text())
	return nil
}

// importModel makes the model file out of the weights at path.
func importModel(path, out string, c exchange.ModelConfig) (*importResult, error) {
	m, info, notes, err := exchange.FromWeights(path, c)
	var d *exchange.Difference
	if errors.As(err, &d) && len(d.Surplus()) > 0 {
		err = fmt.Errorf("%w; if the network computes without what is unexpected, residual import with --ignore and these names, or what they begin with, leaves it out", err)
	}
	if err != nil {
		return nil, err
	}
	if err := checkpoint.SaveModel(out, info, nn.StateDict(m)); err != nil {
		return nil, err
	}
	st, err := os.Stat(out)
	if err != nil {
		return nil, err
	}
	return &importResult{Path: out, Bytes: st.Size(), Parameters: nn.Count(m), Model: info, Notes: notes}, nil
}

func (r *importResult) text() string {
	text := fmt.Sprintf("%s: %s for %d classes, %s parameters, %s\n", r.Path, titleOf(r.Model), len(r.Model.Classes), report.Count(r.Parameters), report.Bytes(r.Bytes))
	for _, n := range r.Notes {
		text += n + "\n"
	}
	return text
}

// readClasses reads names, one a line.
func readClasses(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--classes: %w", err)
	}
	defer file.Close()
	var names []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name := strings.TrimSpace(lines.Text())
		if name == "" {
			return nil, fmt.Errorf("--classes: %s: line %d is empty; give one name a line", path, len(names)+1)
		}
		names = append(names, name)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--classes: %s: %w", path, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("--classes: %s is empty; give one name a line", path)
	}
	return names, nil
}

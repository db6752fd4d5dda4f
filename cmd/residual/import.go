package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train/settings"
	"github.com/residual-ml/residual/weights"
)

// importFlags are the settings of import.
type importFlags struct {
	images imageFlags
	force  bool
	out    string
	json   bool
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
them, one on each line; those of 1000 classes are ImageNet's unless something says otherwise.
Names of classes and how images are prepared are also read from config.json (timm's or
transformers') and preprocessor_config.json beside the weights, as residual pull lays
them there; what is said there of images and cannot be done is an error, unless a flag
says otherwise. Where config.json or the file itself names a network that is not computed
here, such as timm's resnetaa50, the weights are refused. Where nothing says how, images
are prepared as the model's own weights want it (see residual models --json), to the bit
as torchvision does it.

An ONNX graph is known by what it computes, and its images have the size that it takes.
One that is none of the known models stays as it is: it becomes another .onnx file,
whose metadata says the names of the classes and how images are prepared, which
eval, predict and summary take; --mean and --std must be given for it.

` + imagesHelp,
		Example: `  residual import resnet50.pth -o resnet50.safetensors
  residual import model.safetensors --classes imagenet.txt -o resnet50.safetensors
  residual import a1.safetensors --resize 236 --interpolation bicubic -o resnet50-a1.safetensors
  residual import net.npz --model cifar-resnet20 -o net.safetensors
  residual import other.onnx --classes names.txt --size 224 --mean 0,0,0 --std 1,1,1 -o mine.onnx`,
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
	f.images.add(cmd, "the model's")
	fs.StringVar(&f.images.config.Zeros, "zeros", "", "of cifar-resnet and cifar-preresnet: where shortcuts add channels of zeros, last or both, half of them before the others (default: last)")
	fs.StringSliceVar(&f.images.config.Ignore, "ignore", nil, "tensors to leave out, by their names or what these begin with: criterion,aux")
	fs.BoolVar(&f.force, "force", false, forceUsage)
	takes(fs, "FILE", "out")
	takes(fs, "NAME", "zeros")
	inGroup(fs, settings.Model, "zeros", "ignore")
	inGroup(fs, settings.Run, "out", "force")
	common(fs, "out", "force", "model", "size", "mean", "std")
	jsonFlag(cmd, &f.json)
	return cmd
}

func (f *importFlags) check(cmd *cobra.Command) error {
	if f.out == "" {
		return usagef("name the model file to write with -o; `%s --help` has examples", cmd.CommandPath())
	}
	if z := f.images.config.Zeros; z != "" && z != exchange.ZerosLast && z != exchange.ZerosBoth {
		return usagef("--zeros %s is not known; choose last or both", z)
	}
	return f.images.check(cmd)
}

func (f *importFlags) run(cmd *cobra.Command, path string) error {
	path, err := checkpoint.FindModel(path)
	if err != nil {
		return err
	}
	if err := mayWrite([]target{{"out", f.out, weights.Safetensors}}, filesOf(path), f.force); err != nil {
		return err
	}
	r, err := importModel(path, f.out, f.images.config)
	if err != nil {
		return asked(cmd, err)
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	printf(cmd, "%s", r.text())
	return nil
}

// importModel writes a model file with the weights at path.
func importModel(path, out string, c exchange.ModelConfig) (*importResult, error) {
	m, err := modelfile.Open(path, modelfile.Options{ModelConfig: c, Identify: true})
	var d *exchange.Difference
	if errors.As(err, &d) && len(d.Surplus()) > 0 {
		err = fmt.Errorf("%w; if the network computes without what is unexpected, residual import with --ignore and these names, or what they begin with, leaves it out", err)
	}
	if err != nil {
		return nil, err
	}
	if err := m.Save(out); err != nil {
		return nil, err
	}
	st, err := os.Stat(out)
	if err != nil {
		return nil, err
	}
	return &importResult{Path: out, Bytes: st.Size(), Parameters: nn.Count(m.Module), Model: m.Info, Notes: notesOf(m)}, nil
}

func (r *importResult) text() string {
	text := fmt.Sprintf("%s: %s for %d %s, %s parameters, %s\nimages: %s\n",
		r.Path, titleOf(r.Model), len(r.Model.Names()), r.Model.Task.Named(), report.Count(r.Parameters), report.Bytes(r.Bytes), r.Model.Preparation())
	for _, n := range r.Notes {
		text += n + "\n"
	}
	return text
}

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/npz"
	"github.com/residual-ml/residual/weights/safetensors"
)

// exportFlags are the settings of export: a file for each format.
type exportFlags struct {
	onnx        string
	safetensors string
	npz         string
	goPackage   string
	model       string
	notes       []string // what had to be chosen of an ONNX file of another program

	fold       bool
	preprocess bool
	layout     string
	force      bool
	json       bool
}

// exportResult is an element of what export --json prints.
type exportResult struct {
	Path         string `json:"path"`
	Format       string `json:"format"`
	Bytes        int64  `json:"bytes"`
	Architecture string `json:"architecture,omitempty"`
	Blocks       []int  `json:"blocks,omitempty"` // where they are not the architecture's own
	Note         string `json:"note,omitempty"`
}

func exportCommand() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export MODEL",
		Short: "Write a trained model for other programs",
		Long: `Write a trained model for other programs.

--onnx writes the network as an ONNX graph (opset 17) for evaluation: the input
"images" [N, C, H, W] and the output "logits" [N, classes], for any batch. The
weights keep the names of the parameters; the names of the classes and how images
are prepared stand in the file's metadata. With --fold batch norms are merged into
the layers before them. With --preprocess the graph takes bytes and scales and
normalises them itself; resizing is left to the caller. Of a quantised model the
graph has QuantizeLinear and DequantizeLinear, by which ONNX Runtime and OpenVINO
compute with integers.

--safetensors writes the weights under their model's names. MODEL may then be an
ONNX file, of another program too, whose graph is one of the models known by name.
--npz writes the same as an archive of NumPy arrays, for numpy.load.

--go writes a Go package with the model inside and a function Predict. Besides the
standard library it imports Residual alone, as a library.`,
		Example: `  residual export runs/train-1 --onnx shoes.onnx
  residual export runs/train-1 --onnx shoes.onnx --fold --preprocess --layout nhwc
  residual export shoes.onnx --safetensors shoes.safetensors
  residual export runs/train-1 --npz shoes.npz
  residual export runs/train-1 --go internal/shoes`,
		Args:              exactly(1, "a model file"),
		ValidArgsFunction: completeModelFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return f.run(cmd, args[0])
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.onnx, "onnx", "", "ONNX file to write")
	fs.StringVar(&f.safetensors, "safetensors", "", "safetensors file to write")
	fs.StringVar(&f.npz, "npz", "", "NumPy archive to write the weights into")
	fs.StringVar(&f.goPackage, "go", "", "folder to write a Go package into")
	fs.StringVar(&f.model, "model", "", "model that an ONNX file of another program is (default: found by what the graph computes)")
	fs.BoolVar(&f.fold, "fold", false, "merge batch norms into the layers before them (--onnx)")
	fs.BoolVar(&f.preprocess, "preprocess", false, "take images as bytes and scale and normalise them in the graph (--onnx)")
	fs.StringVar(&f.layout, "layout", "nchw", "order of the bytes that --preprocess takes: nchw or nhwc")
	fs.BoolVar(&f.force, "force", false, forceUsage)
	takes(fs, "FILE", "onnx", "safetensors", "npz")
	takes(fs, "FOLDER", "go")
	takes(fs, "NAME", "model", "layout")
	jsonFlag(cmd, &f.json)
	_ = cmd.RegisterFlagCompletionFunc("layout", words("nchw", "nhwc"))
	_ = cmd.RegisterFlagCompletionFunc("model", words(models.Names()...))
	return cmd
}

func (f *exportFlags) check(cmd *cobra.Command) error {
	switch {
	case f.onnx == "" && f.safetensors == "" && f.npz == "" && f.goPackage == "":
		return usagef("name a file to write, with --onnx or --safetensors or --npz, or a folder with --go; `%s --help` has examples", cmd.CommandPath())
	case f.layout != "nchw" && f.layout != "nhwc":
		return usagef("--layout %s is not known; choose nchw or nhwc", f.layout)
	case f.layout == "nhwc" && !f.preprocess:
		return usagef("--layout nhwc is the order of bytes; give --preprocess too")
	case (f.fold || f.preprocess) && f.onnx == "":
		return usagef("--fold and --preprocess are for --onnx; give it too")
	}
	return nil
}

func (f *exportFlags) run(cmd *cobra.Command, model string) error {
	model, err := modelPath(model)
	if err != nil {
		return err
	}
	targets := []target{{"onnx", f.onnx, weights.ONNX}, {"safetensors", f.safetensors, weights.Safetensors}, {"npz", f.npz, weights.NumPy}}
	inputs := filesOf(model)
	if f.goPackage != "" && !f.force {
		for _, name := range []string{exchange.GoModelFile, exchange.GoGraphFile} {
			if file := filepath.Join(f.goPackage, name); slices.ContainsFunc(inputs, func(in string) bool { return sameFile(file, in) }) {
				return usagef("--go %s holds the file that is read, %s, which would be replaced; give another folder, or --force", f.goPackage, file)
			}
		}
	}
	if err := mayWrite(targets, inputs, f.force); err != nil {
		return err
	}
	var results []exportResult
	for _, format := range []struct {
		path  string
		write func(model string) (exportResult, error)
	}{{f.onnx, f.writeONNX}, {f.safetensors, f.writeSafetensors}, {f.npz, f.writeNPZ}, {f.goPackage, f.writeGo}} {
		if format.path == "" {
			continue
		}
		r, err := format.write(model)
		if err != nil {
			return asked(cmd, err)
		}
		results = append(results, r)
	}
	sayChosen(cmd, model, f.notes)
	for i, r := range results {
		st, err := os.Stat(r.Path)
		if err != nil {
			return err
		}
		results[i].Bytes = st.Size()
		if !f.json {
			printf(cmd, "%s: %s, %s\n", r.Path, r.Note, report.Bytes(st.Size()))
		}
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), results)
	}
	return nil
}

// open opens a model file, without looking for a known network that an ONNX graph computes.
func (f *exportFlags) open(path string) (*modelfile.Model, error) {
	m, err := modelfile.Open(path, modelfile.Options{ModelConfig: exchange.ModelConfig{Model: f.model}})
	if err != nil {
		return nil, err
	}
	f.notes = chosen(m.Info, notesOf(m))
	return m, nil
}

// openKnown opens a model file as one of the networks known by name, with that network's names
// of parameters. An ONNX file of another program tells only its architecture.
func (f *exportFlags) openKnown(path string) (*modelfile.Model, error) {
	return modelfile.OpenKnown(path, exchange.ModelConfig{Model: f.model})
}

func (f *exportFlags) writeONNX(path string) (exportResult, error) {
	m, err := f.open(path)
	if err != nil {
		return exportResult{}, err
	}
	info := m.Info
	c := exchange.ExportConfig{Fold: f.fold, Bytes: f.preprocess, ChannelsLast: f.layout == "nhwc"}
	model, err := exchange.Save(f.onnx, m.Module, info, c)
	if err != nil {
		return exportResult{}, err
	}
	note := fmt.Sprintf("%s as an ONNX graph of %d nodes for %s", titleOf(info), len(model.Graph.Nodes), forTask(info))
	return exportResult{Path: f.onnx, Format: "onnx", Architecture: info.Architecture, Blocks: info.Blocks, Note: note}, nil
}

func (f *exportFlags) writeSafetensors(path string) (exportResult, error) {
	m, err := f.openKnown(path)
	if err != nil {
		return exportResult{}, err
	}
	info := m.Info
	r := exportResult{Path: f.safetensors, Format: "safetensors", Architecture: info.Architecture, Blocks: info.Blocks, Note: "weights of " + titleOf(info)}
	if len(info.Names()) > 0 {
		return r, quant.SaveModel(f.safetensors, info, m.Module)
	}
	// Without names of classes and a preparation of images it cannot be used as a model.
	r.Note += " alone, as " + path + " does not say what its classes are and how images are prepared for it"
	return r, checkpoint.WriteFile(f.safetensors, func(w io.Writer) error {
		return safetensors.Write(w, nn.StateDict(m.Module), map[string]string{"format": "pt"})
	})
}

func (f *exportFlags) writeNPZ(path string) (exportResult, error) {
	m, err := f.openKnown(path)
	if err != nil {
		return exportResult{}, err
	}
	info := m.Info
	r := exportResult{Path: f.npz, Format: "npz", Architecture: info.Architecture, Blocks: info.Blocks, Note: "weights of " + titleOf(info) + " alone, without its classes and how images are prepared"}
	return r, checkpoint.WriteFile(f.npz, func(w io.Writer) error { return npz.Write(w, nn.StateDict(m.Module)) })
}

func (f *exportFlags) writeGo(path string) (exportResult, error) {
	m, err := f.openKnown(path)
	if err != nil { // a graph that is no network known by name goes into the package as it stands
		own, failed := f.open(path)
		if failed != nil || own.Graph == nil {
			return exportResult{}, err
		}
		m = own
	}
	info := m.Info
	if len(info.Names()) == 0 {
		return exportResult{}, fmt.Errorf("%s does not say what its classes are and how images are prepared for it; give a model of Residual's own", path)
	}
	name, err := exchange.SaveGo(f.goPackage, m.Module, info)
	if err != nil {
		return exportResult{}, err
	}
	note := fmt.Sprintf("package %s with %s inside", name, titleOf(info))
	file, err := exchange.GoEmbedded(f.goPackage)
	if err != nil {
		return exportResult{}, err
	}
	return exportResult{Path: file, Format: "go", Architecture: info.Architecture, Blocks: info.Blocks, Note: note}, nil
}

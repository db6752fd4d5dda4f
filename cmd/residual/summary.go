package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/tensor"
)

// summaryResult is what summary --json prints.
type summaryResult struct {
	Model        string       `json:"model"`
	Architecture string       `json:"architecture,omitempty"` // of a model file
	Blocks       []int        `json:"blocks,omitempty"`       // where they are not the architecture's own
	Input        []int        `json:"input"`
	Layers       []summaryRow `json:"layers"`
	Parameters   int64        `json:"parameters"`
	Buffers      int64        `json:"buffers"`
	MultiplyAdds int64        `json:"multiply_adds"`
	Bytes        int64        `json:"bytes,omitempty"`    // of a model file
	Prepared     string       `json:"prepared,omitempty"` // how images become the input of a model file
	Notes        []string     `json:"notes,omitempty"`    // of an ONNX file of another program
}

type summaryRow struct {
	Layer        string `json:"layer"`
	Class        string `json:"class"`
	Depth        int    `json:"depth"`
	Output       []int  `json:"output"`
	Quantised    bool   `json:"quantised,omitempty"` // its weight consists of integers of 8 bits
	Parameters   int64  `json:"parameters"`
	MultiplyAdds int64  `json:"multiply_adds"`
}

func summaryCommand() *cobra.Command {
	var input string
	var depth int
	var blocks []int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "summary MODEL",
		Short: "Show a model's layers, output shapes, parameters and multiply-adds",
		Long: `Show a model's layers: class, output shape, parameters and multiply-adds. MODEL is
the name of a model, a model file, or an ONNX file of a residual network. The multiply-adds are those of the whole
batch, in convolutions and linear layers; parameters are counted once, at the
layer that holds them and again in the modules around it.`,
		Example: `  residual summary d2l-resnet18 --input 1,1,224,224
  residual summary d2l-resnet18 --depth 2
  residual summary resnet18 --blocks 3,4,6,3
  residual summary runs/train-1 --json`,
		Args:              exactly(1, "the name of a model or a model file"),
		ValidArgsFunction: completeModel,
		RunE: func(cmd *cobra.Command, args []string) error {
			if depth < 0 {
				return usagef("--depth %d: give the number of levels to show, or 0 for all", depth)
			}
			shape, err := parseInput(input)
			if err != nil {
				return err
			}
			name := args[0]
			if modelfile.IsPath(name) {
				if name, err = modelPath(name); err != nil {
					return err
				}
			}
			m, about, shape, notes, err := modelNamed(name, shape, blocks)
			if err != nil {
				return err
			}
			t, err := nn.Summary(m, shape)
			if err != nil {
				return usagef("the input does not suit %s: %w; choose another --input", name, err)
			}
			if depth > 0 {
				t = t.Shallow(depth)
			}
			bytes := int64(0)
			if about.Architecture != "" {
				if bytes, err = bytesOf(filesOf(name)...); err != nil {
					return err
				}
			}
			if asJSON {
				r := summaryJSON(name, about, shape, t, m)
				r.Bytes = bytes
				r.Notes = notes
				return printJSON(cmd.OutOrStdout(), r)
			}
			if err := writeSummary(cmd, name, about, t, m, bytes); err != nil {
				return err
			}
			for _, n := range notes {
				printf(cmd, "%s\n", n)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&input, "input", "", "shape of the input: batch,channels,height,width (default: the model's own, one image)")
	takes(cmd.Flags(), "N,C,H,W", "input")
	cmd.Flags().IntSliceVar(&blocks, "blocks", nil, blocksHelp)
	cmd.Flags().IntVar(&depth, "depth", 0, "levels to show; 0 shows all")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// modelNamed builds a model by name, with the channels of the input, or opens a model file. It
// returns the network, its description, the shape of the input and notes. Without an input it
// chooses one image of the size that the model was made for.
func modelNamed(name string, input tensor.Shape, blocks []int) (nn.Module, checkpoint.Model, tensor.Shape, []string, error) {
	var none checkpoint.Model
	fail := func(err error) (nn.Module, checkpoint.Model, tensor.Shape, []string, error) {
		return nil, none, nil, nil, err
	}
	if !modelfile.IsPath(name) {
		e, err := lookupModel(name)
		if err != nil {
			return fail(fmt.Errorf("%w; a model file is given by its path, ending in .safetensors or .onnx", err))
		}
		if input == nil {
			input = tensor.Shape{1, e.Channels, e.Height, e.Width}
		}
		c := models.Config{Channels: input[1], Blocks: blocks}
		if err := e.Check(c); err != nil {
			return fail(usagef("--blocks: %w", err))
		}
		if err := room(4 * e.Count(c)); err != nil {
			return fail(usagef("%s: %w; choose a smaller net", name, err))
		}
		return e.New(c), none, input, nil, nil
	}
	if blocks != nil {
		return fail(usagef("--blocks: %s is a model file, whose blocks are its own; leave the flag out, or give the name of a model", name))
	}
	m, err := modelfile.Open(name, modelfile.Options{Undescribed: true})
	if err != nil {
		return fail(asked(nil, err))
	}
	module, about, notes := m.Module, m.Info, notesOf(m)
	if m.Graph != nil { // which is shown as it stands, whatever computes the same
		module = m.Graph
	}
	if m.Undescribed != nil {
		notes = []string{strings.TrimPrefix(asked(nil, m.Undescribed).Error(), name+": ")}
	}
	if input == nil {
		input = m.ImageShape()
	}
	return module, about, input, notes, nil
}

// parseInput reads 1,1,224,224 or 1x1x224x224. It returns nil for an empty text.
func parseInput(text string) (tensor.Shape, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == 'x' })
	var shape tensor.Shape
	elements := int64(1)
	for _, p := range parts {
		n, err := strconv.Atoi(strings.TrimSpace(p))
		if err != nil || n < 1 {
			return nil, usagef("--input %q: %q is no size; give batch,channels,height,width such as 1,1,224,224", text, p)
		}
		if elements *= int64(n); n > 1<<20 || elements > min(1<<32, math.MaxInt) {
			return nil, usagef("--input %q is too large; give batch,channels,height,width such as 1,1,224,224", text)
		}
		shape = append(shape, n)
	}
	if len(shape) != 4 {
		return nil, usagef("--input %q has %d sizes; give batch,channels,height,width such as 1,1,224,224", text, len(shape))
	}
	return shape, nil
}

func summaryJSON(name string, about checkpoint.Model, input tensor.Shape, t *nn.Table, m nn.Module) summaryResult {
	_, scheme := quant.Unwrap(m)
	r := summaryResult{
		Model: name, Architecture: about.Architecture, Blocks: about.Blocks, Input: input,
		Parameters: t.Params, Buffers: t.Buffers, MultiplyAdds: t.MACs,
	}
	if about.Architecture != "" {
		r.Prepared = about.Preparation()
	}
	for _, row := range t.Rows {
		r.Layers = append(r.Layers, summaryRow{
			Layer: row.Path, Class: row.Class, Depth: row.Depth, Output: row.Output, Quantised: scheme.Has(row.Path),
			Parameters: row.Params, MultiplyAdds: row.MACs,
		})
	}
	return r
}

func writeSummary(cmd *cobra.Command, name string, about checkpoint.Model, t *nn.Table, m nn.Module, bytes int64) error {
	_, scheme := quant.Unwrap(m)
	right := func(title string) report.Column { return report.Column{Title: title, Align: report.Right} }
	out := report.NewTable(report.Column{Title: "layer"}, report.Column{Title: "class"}, report.Column{Title: "output shape"}, right("parameters"), right("multiply-adds"))
	for _, r := range t.Rows {
		class := r.Class
		if scheme.Has(r.Path) {
			class += " int8"
		}
		out.Row(strings.Repeat("  ", r.Depth)+r.Path, class, "["+joinInts(r.Output)+"]", report.Count(r.Params), report.Count(r.MACs))
	}
	out.Rule()
	out.Row("total", "", "", report.Count(t.Params), report.Count(t.MACs))
	if err := out.Write(cmd.OutOrStdout()); err != nil {
		return err
	}
	printf(cmd, "\n")
	if about.Architecture != "" {
		printf(cmd, "%s: %s for %s\n", name, titleOf(about), forTask(about))
		printf(cmd, "images: %s\n", about.Preparation())
	}
	if net, ok := m.(*quant.Net); ok {
		printf(cmd, "%s in int8, as marked above, the others in bf16; %s; file of %s\n", plural(len(net.Scheme.Layers), "layer"), net.Calibration, report.Bytes(bytes))
		printf(cmd, "%s parameters, %s buffers, %s multiply-adds\n", report.Count(t.Params), report.Count(t.Buffers), report.SI(float64(t.MACs), ""))
		return nil
	}
	if net, ok := m.(*exchange.Network); ok && net.Quantised() {
		printf(cmd, "layers in int8: the graph is in QDQ form; file of %s\n", report.Bytes(bytes))
	}
	printf(cmd, "%s parameters (%s), %s buffers, %s multiply-adds\n",
		report.Count(t.Params), report.Bytes(4*t.Params), report.Count(t.Buffers), report.SI(float64(t.MACs), ""))
	return nil
}

func completeModel(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return models.Names(), cobra.ShellCompDirectiveDefault
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/report"
)

// prediction is an element of what predict --json prints.
type prediction struct {
	Image       string                 `json:"image"`
	Predictions []inference.Prediction `json:"predictions,omitempty"` // likeliest first
	Error       string                 `json:"error,omitempty"`
}

func predictCommand() *cobra.Command {
	var device deviceFlags
	var top int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "predict MODEL IMAGE...",
		Short: "Say what images show, by a trained model",
		Long: `Say what images show, by a trained model: the likeliest classes and their
probabilities. Images are PNG, JPEG, GIF (its first picture), WebP or BMP files, of
any size; they are prepared as the training's pictures were. An image that cannot
be read gets a line on stderr and the exit status is 1, the others are answered.
MODEL may be an ONNX file that residual export wrote.`,
		Example: `  residual predict runs/train-1/best.safetensors shoe.png
  residual predict runs/train-1/best.safetensors *.jpg -k 1
  residual predict runs/train-1/best.safetensors shoe.png --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef("predict takes a model file and at least one image; `%s --help` has examples", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: completeModelFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if top < 1 {
				return usagef("--top %d: give the number of classes to show, at least 1", top)
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			dev, err := device.open()
			if err != nil {
				return err
			}
			defer dev.Close()
			c, err := loadClassifier(args[0], dev, device.on(dev))
			if err != nil {
				return err
			}
			return predictAll(ctx, cmd, c, args[1:], top, asJSON)
		},
	}
	cmd.Flags().IntVarP(&top, "top", "k", 3, "classes to show, likeliest first")
	device.add(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// predictAll answers for one image after the other; those that cannot be read
// are reported and do not keep the others back.
func predictAll(ctx context.Context, cmd *cobra.Command, c *inference.Classifier, paths []string, top int, asJSON bool) error {
	var all []prediction
	bad := 0
	for _, path := range paths {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		p := prediction{Image: path}
		img, err := readImage(path)
		if err == nil {
			if p.Predictions, err = c.Predict(img, top); err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
		}
		if err != nil {
			bad++
			p.Error = oneLine(err.Error())
			fmt.Fprintln(cmd.ErrOrStderr(), "residual:", p.Error)
		}
		all = append(all, p)
		if !asJSON && err == nil {
			if err := writePrediction(cmd, p); err != nil {
				return err
			}
		}
	}
	if asJSON {
		if err := printJSON(cmd.OutOrStdout(), all); err != nil {
			return err
		}
	}
	if bad > 0 {
		return errReported
	}
	return nil
}

func writePrediction(cmd *cobra.Command, p prediction) error {
	t := report.NewTable(report.Column{}, report.Column{Align: report.Right})
	t.Indent = 2
	for _, c := range p.Predictions {
		t.Row(c.Class, fmt.Sprintf("%.4f", c.Probability))
	}
	printf(cmd, "%s\n", p.Image)
	return t.Write(cmd.OutOrStdout())
}

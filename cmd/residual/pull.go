package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/download"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/hub"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/onnx"
)

// pulled is what pull --json lists.
type pulled struct {
	hub.File
	Weights []hub.File    `json:"weights,omitempty"` // that an ONNX file or an index of shards has beside it
	Configs []hub.File    `json:"configs,omitempty"` // that lie beside it
	Model   *importResult `json:"model,omitempty"`   // that was made of it
}

func (p *pulled) text() string {
	state := "fetched"
	if p.Cached {
		state = "was there"
	}
	text := fmt.Sprintf("%s\n  %s, %s, SHA-256 %s\n", p.Path, report.Bytes(p.Bytes), state, p.SHA256)
	for _, f := range p.Weights {
		text += fmt.Sprintf("  with the weights in %s, %s, SHA-256 %s\n", filepath.Base(f.Path), report.Bytes(f.Bytes), f.SHA256)
	}
	for _, f := range p.Configs {
		text += fmt.Sprintf("  with %s\n", filepath.Base(f.Path))
	}
	if p.Model != nil {
		text += p.Model.text()
	}
	return text
}

func pullCommand() *cobra.Command {
	c := hub.Cache{Endpoint: os.Getenv("HF_ENDPOINT")}
	var asJSON bool
	var out string
	var force bool
	var maxSize float64
	cmd := &cobra.Command{
		Use:   "pull MODEL...",
		Short: "Fetch model files into the cache",
		Long: `Fetch model files into the user's cache folder and print where they lie.

MODEL is hf:OWNER/NAME for model.safetensors of a model on Hugging Face, or for what it
has in place of that: model.safetensors.index.json, the index of its shards, or
pytorch_model.bin. hf:OWNER/NAME@REVISION/FILE is another file or revision, and an https
address is possible, too.
With #sha256=DIGEST behind it only content with that digest is taken; without it
the digest that Hugging Face gives is used.

With the model come config.json and preprocessor_config.json, where the repository has
them: names of classes, and how images are prepared. -o makes a model file of it all,
such as predict, eval and export take; residual import does the same later, with flags
for what is not said.

With an ONNX file come the files beside it that its weights lie in, and with an index
its shards.

A download that broke off goes on where it stopped. One that is larger than
--max-size, or that a server feeds with less than a kilobyte a second, is given up. A file that is there already
is verified and not fetched again, unless --refresh asks for it. HF_ENDPOINT names
another server in place of https://huggingface.co.`,
		Example: `  residual pull hf:timm/resnet18.a1_in1k
  residual pull hf:timm/resnet18.a1_in1k -o resnet18.safetensors
  residual pull hf:timm/resnet18.a1_in1k@main/pytorch_model.bin --json
  residual pull https://download.pytorch.org/models/resnet18-f37072fd.pth`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("pull takes a model, like hf:timm/resnet18.a1_in1k; `%s --help` has examples", cmd.CommandPath())
			}
			if out != "" && len(args) > 1 {
				return usagef("-o makes one model file; give one model")
			}
			for _, a := range args {
				if _, err := hub.Parse(a); err != nil {
					return usageError{err}
				}
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !(maxSize >= 0 && maxSize <= 1e6) {
				return usagef("--max-size %v: give gigabytes, such as 20", maxSize)
			}
			c.MaxBytes = int64(maxSize * 1e9)
			ctx, stop := interruptible(cmd)
			defer stop()
			c.Progress = showDownloads(cmd.ErrOrStderr())
			model := []target{{"out", out, weights.Safetensors}}
			if err := mayWrite(model, nil, force); err != nil {
				return err
			}
			var files []pulled
			for _, a := range args {
				r, err := hub.Parse(a)
				if err != nil {
					return err
				}
				f, r, err := c.PullWeights(ctx, r)
				if err != nil {
					return sizeHint(err)
				}
				p := pulled{File: f}
				if p.Weights, err = pullWeights(ctx, c, r, f); err != nil {
					return sizeHint(err)
				}
				var problems []error
				p.Configs, problems = c.PullConfigs(ctx, r, f)
				for _, err := range problems {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v; --refresh tries again\n", err)
				}
				if out != "" {
					if err := mayWrite(model, filesOf(f.Path), force); err != nil {
						return err
					}
					if p.Model, err = importModel(f.Path, out, exchange.ModelConfig{}); err != nil {
						return asked(cmd, err)
					}
				}
				if files = append(files, p); !asJSON {
					printf(cmd, "%s", p.text())
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), files)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "also make this model file of the weights, as residual import does")
	cmd.Flags().BoolVar(&force, "force", false, forceUsage)
	cmd.Flags().StringVar(&c.Dir, "cache-dir", "", "folder to keep files in; else the user's cache folder")
	cmd.Flags().Float64Var(&maxSize, "max-size", 0, "gigabytes of the largest file to accept; 0 means 8.6, and 2.1 where the server names no length")
	cmd.Flags().BoolVar(&c.Offline, "offline", false, "download nothing")
	cmd.Flags().BoolVar(&c.Refresh, "refresh", false, "ask again for what is there, as a branch moves on")
	takes(cmd.Flags(), "FILE", "out")
	_ = cmd.MarkFlagDirname("cache-dir")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// sizeHint adds the flag that accepts larger files to an error about the size.
func sizeHint(err error) error {
	var large *download.TooLargeError
	if errors.As(err, &large) {
		return fmt.Errorf("%w; --max-size raises the limit", err)
	}
	return err
}

// pullWeights fetches the files beside an ONNX file or an index that hold its weights.
func pullWeights(ctx context.Context, c hub.Cache, r hub.Ref, f hub.File) ([]hub.File, error) {
	if weights.IsIndex(f.Path) {
		names, err := weights.Shards(f.Path)
		if err != nil {
			return nil, err
		}
		return c.PullBeside(ctx, r, f, names)
	}
	if format, err := weights.Detect(f.Path); err != nil || format != weights.ONNX {
		return nil, nil
	}
	names, err := onnx.Beside(f.Path)
	if err != nil {
		return nil, err
	}
	return c.PullBeside(ctx, r, f, names)
}

package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/hub"
	"github.com/residual-ml/residual/report"
)

func pullCommand() *cobra.Command {
	c := hub.Cache{Endpoint: os.Getenv("HF_ENDPOINT")}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "pull MODEL...",
		Short: "Fetch model files into the cache",
		Long: `Fetch model files into the user's cache folder and print where they lie.

MODEL is hf:OWNER/NAME for model.safetensors of a model on Hugging Face, or
hf:OWNER/NAME@REVISION/FILE for another file or revision, or an https address.
With #sha256=DIGEST behind it only content with that digest is taken; without it
the digest that Hugging Face gives is used.

A download that broke off goes on where it stopped. A file that is there already
is verified and not fetched again, unless --refresh asks for it. HF_ENDPOINT names
another server in place of https://huggingface.co.`,
		Example: `  residual pull hf:timm/resnet18.a1_in1k
  residual pull hf:timm/resnet18.a1_in1k@main/pytorch_model.bin --json
  residual pull https://download.pytorch.org/models/resnet18-f37072fd.pth`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("pull takes a model, like hf:timm/resnet18.a1_in1k; `%s --help` has examples", cmd.CommandPath())
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
			ctx, stop := interruptible(cmd)
			defer stop()
			c.Progress = showDownloads(cmd.ErrOrStderr())
			var files []hub.File
			for _, a := range args {
				r, err := hub.Parse(a)
				if err != nil {
					return err
				}
				f, err := c.Pull(ctx, r)
				if err != nil {
					return err
				}
				if files = append(files, f); asJSON {
					continue
				}
				state := "fetched"
				if f.Cached {
					state = "was there"
				}
				printf(cmd, "%s\n  %s, %s, SHA-256 %s\n", f.Path, report.Bytes(f.Bytes), state, f.SHA256)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), files)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&c.Dir, "cache-dir", "", "folder to keep files in; else the user's cache folder")
	cmd.Flags().BoolVar(&c.Offline, "offline", false, "download nothing")
	cmd.Flags().BoolVar(&c.Refresh, "refresh", false, "ask again for what is there, as a branch moves on")
	_ = cmd.MarkFlagDirname("cache-dir")
	jsonFlag(cmd, &asJSON)
	return cmd
}

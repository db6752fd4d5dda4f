package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/train"
)

// loadClassifier reads a model file onto a device. What is often given in its
// place gets an answer of its own.
func loadClassifier(path string, dev engine.Device, p engine.Precision) (*inference.Classifier, error) {
	if err := isModelFile(path); err != nil {
		return nil, err
	}
	c, err := inference.Load(path, dev, p)
	return c, asked(nil, err)
}

// isModelFile says what is given in the place of a model file.
func isModelFile(path string) error {
	st, err := os.Stat(path)
	switch {
	case err != nil && slices.Contains(models.Names(), path):
		return usagef("%s is the name of a network, not a trained model; train one with `residual train --model %s` and give its best.safetensors", path, path)
	case err != nil:
		return fmt.Errorf("model file: %w; `residual train` leaves one in its run folder, such as runs/train-1/best.safetensors", err)
	case st.IsDir():
		best := filepath.Join(path, train.BestFile)
		if _, err := os.Stat(best); err == nil {
			return fmt.Errorf("%s is a folder; did you mean %s?", path, shell.Quote(best))
		}
		return fmt.Errorf("%s is a folder; give a model file, such as best.safetensors of a run", path)
	}
	return nil
}

// titleOf says in words what network a file holds.
func titleOf(about checkpoint.Model) string {
	if about.Architecture == exchange.GraphArchitecture {
		return "ONNX graph"
	}
	return models.Title(about.Architecture, about.Blocks)
}

// completeModelFile completes files of weights.
func completeModelFile(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return []cobra.Completion{"safetensors", "onnx"}, cobra.ShellCompDirectiveFilterFileExt
}

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
)

// modelPath returns the model file that somebody means by a path: a run folder stands for its
// best model, and last for that of the newest run. The error says what to give instead, also
// for the name of a network.
func modelPath(path string) (string, error) {
	file, err := checkpoint.FindModel(path)
	if err != nil {
		return "", fmt.Errorf("model: %w", err)
	}
	st, err := os.Stat(file)
	switch {
	case err != nil && slices.Contains(models.Names(), path):
		return "", usagef("%s is the name of a network, not a trained model; train one with `residual train --model %s` and give its run folder", path, path)
	case err != nil:
		return "", fmt.Errorf("model file: %w; give one, or a run folder of `residual train` such as runs/train-1, or last for the newest", err)
	case st.IsDir():
		return "", fmt.Errorf("%s is a folder without a model; give a run folder, such as runs/train-1, or a model file", path)
	}
	return file, nil
}

// titleOf describes the network of a file in words.
func titleOf(about checkpoint.Model) string {
	if about.Architecture == exchange.GraphArchitecture {
		return "ONNX graph"
	}
	return models.Title(about.Architecture, about.Blocks)
}

// completeModelFile completes paths of model files.
func completeModelFile(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return []cobra.Completion{"safetensors", "onnx"}, cobra.ShellCompDirectiveFilterFileExt
}

// lookupModel finds a model by name; the error is one about the command line.
func lookupModel(name string) (models.Entry, error) {
	e, err := models.Lookup(name)
	if err != nil {
		if strings.HasSuffix(err.Error(), "?") {
			return e, usagef("%w (`residual models` lists all)", err)
		}
		return e, usagef("%w; `residual models` describes them", err)
	}
	return e, nil
}

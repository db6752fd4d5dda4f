package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/safetensors"
)

// splitWeights WEIGHTS DIR writes the tensors of a file as two shards and their index.
func splitWeights(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: split WEIGHTS DIR")
	}
	f, err := weights.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	var parts [2][]tensor.Named
	in := map[string]string{}
	for i, name := range f.Names() {
		t, err := f.Tensor(name)
		ts.Check(err)
		parts[i%2] = append(parts[i%2], tensor.Named{Name: name, Tensor: t})
		in[name] = shardName(i % 2)
	}
	dir := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(dir, 0o777))
	for i, part := range parts {
		ts.Check(checkpoint.WriteFile(filepath.Join(dir, shardName(i)), func(w io.Writer) error {
			return safetensors.Write(w, part, map[string]string{"format": "pt"})
		}))
	}
	text, err := json.Marshal(map[string]any{"metadata": map[string]int{"total_size": 1}, "weight_map": in})
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), text, 0o666))
}

func shardName(i int) string { return fmt.Sprintf("model-%05d-of-00002.safetensors", i+1) }

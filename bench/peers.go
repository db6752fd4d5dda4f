package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// probe asks an interpreter for the version of a library.
func probe(ctx context.Context, python, library string) (string, error) {
	out, err := exec.CommandContext(ctx, python, "-c", "import "+library+"; print("+library+".__version__)").Output()
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), "-") // OpenVINO's goes on with its build
	return version, err
}

// findPeers returns the interpreters to compare with: those of -peers, and those with
// OpenVINO and ONNX Runtime; last comes Residual itself, for the loader.
func (s *settings) findPeers(ctx context.Context, log func(string)) ([]peer, error) {
	pythons := s.peers
	if len(pythons) == 0 {
		python, err := findPython(ctx)
		if err != nil {
			return nil, err
		}
		pythons = []string{python}
	}
	var peers []peer
	for _, python := range pythons {
		version, err := probe(ctx, python, "torch")
		if err != nil {
			return nil, fmt.Errorf("-peers: %s has no PyTorch (%v): install it there, or name another interpreter", python, err)
		}
		peers = append(peers, peer{torch, python, version})
	}
	if s.gpu() {
		return peers, nil
	}
	for _, other := range []struct{ program, library, chosen string }{
		{openvino, "openvino", s.openvino}, {onnx, "onnxruntime", s.onnxruntime},
	} {
		candidates := append(slices.Clone(pythons), "python3")
		if other.chosen != "" {
			candidates = []string{other.chosen}
		}
		found := false
		for _, python := range candidates {
			if version, err := probe(ctx, python, other.library); err == nil {
				peers, found = append(peers, peer{other.program, python, version}), true
				break
			}
		}
		switch {
		case !found && other.chosen != "":
			return nil, fmt.Errorf("-%s: %s has no %s: install it there with \"pip install %s\"", other.library, other.chosen, other.program, other.library)
		case !found:
			log(fmt.Sprintf("%s was not found, its rows are left out: \"pip install %s\", or name its interpreter with -%s", other.program, other.library, other.library))
		}
	}
	return append(peers, peer{}), nil
}

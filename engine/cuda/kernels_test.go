//go:build cuda

package cuda

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/engine/cuda/driver"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// The embedded kernels must be those of the sources, whose digest make.py writes.
func TestEmbeddedKernels(t *testing.T) {
	paths, _ := filepath.Glob("kernels/*.cu*")
	slices.Sort(paths)
	h := sha256.New()
	names := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		h.Write([]byte(filepath.Base(path) + "\x00" + string(text) + "\x00"))
		for _, m := range regexp.MustCompile(`(?m)^ *KERNEL\((\w+)(##suffix)?\)`).FindAllStringSubmatch(string(text), -1) {
			if m[2] == "" {
				names[m[1]] = true
				continue
			}
			for _, suffix := range []string{"fma", "tf32", "bf16"} {
				names[m[1]+suffix] = true
			}
		}
	}
	if len(paths) < 7 || len(names) < 30 {
		t.Fatalf("%d sources with %d kernels", len(paths), len(names))
	}
	digest := hex.EncodeToString(h.Sum(nil))
	for target, ptx := range map[string]string{"sm_80": kernels(80), "sm_90": kernels(90)} {
		if !strings.Contains(ptx, "Sources: "+digest+"\n") {
			t.Errorf("%s.ptx is of other sources: run kernels/make.py", target)
		}
		if !strings.Contains(ptx, ".target "+target+"\n") || !strings.Contains(ptx, ".version 8.0\n") {
			t.Errorf("%s.ptx is for another target", target)
		}
		have := driver.Signatures(ptx)
		for name := range names {
			if len(have[name]) < 2 {
				t.Errorf("%s.ptx: kernel %s takes %v", target, name, have[name])
			}
		}
		if len(have) != len(names) {
			t.Errorf("%s.ptx has %d kernels, the sources %d", target, len(have), len(names))
		}
	}
	if !maps.EqualFunc(driver.Signatures(kernels(80)), driver.Signatures(kernels(90)), slices.Equal) {
		t.Error("the two targets have other parameters")
	}
	if len(ampere)+len(hopper) > 2<<20 {
		t.Errorf("%d bytes of kernels", len(ampere)+len(hopper))
	}
}

// Every case must bind: all kernels exist, and launch checks the sizes of their
// parameters. Nothing is computed.
func TestBindsEverything(t *testing.T) {
	f := newFake()
	d := f.open(t)
	conformance.Run(t, func(t *testing.T, c conformance.Case) {
		for _, precision := range []engine.Precision{engine.FP32, engine.TF32, engine.BF16} {
			for _, unfused := range []bool{false, true} {
				conformance.Evaluate(t, d, c.Graph, c.Feeds, engine.Spec{Outputs: c.Outputs, Unfused: unfused, Precision: precision})
			}
		}
	})
	if f.launched == 0 || f.graphs == 0 {
		t.Errorf("%d launches in %d graphs", f.launched, f.graphs)
	}
	bound := slices.Collect(maps.Keys(f.names))
	for name := range d.signatures {
		if !slices.Contains(bound, name) && !slices.Contains(apart, name) {
			t.Errorf("no case uses kernel %s", name)
		}
	}
}

// apart are the kernels that no case uses.
var apart = []string{
	"sgd", "adamw", "lars", "lars_norms", "scale_gradients", "average", "sum_gradients", "squares", "total", "gate", "resize", "pictures",
}

// An operation that the device lacks is named by the error, also one of a user's own.
func TestMissingOperationsAreNamed(t *testing.T) {
	d := newFake().open(t)
	for name, build := range map[string]func(x *graph.Node) *graph.Node{
		"GELU": (*graph.Node).GELU, "GroupNorm": func(x *graph.Node) *graph.Node {
			one := x.Graph.Constant(1, x.Shape[1])
			return x.GroupNorm(1, one, one, 1e-5)
		},
	} {
		g := graph.New(graph.Eval)
		y := build(g.Input("x", tensor.Float32, 2, 3, 4, 5))
		_, err := engine.Compile(g, engine.NewStore(d), engine.Spec{Outputs: []*graph.Node{y}})
		if err == nil || !strings.Contains(err.Error(), "no kernel for "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

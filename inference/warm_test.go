package inference

import (
	"slices"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
)

// After Warm, batches of every size are computed without compiling anything, and all of them have
// one copy of the weights and one workspace.
func TestWarm(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	const side = 12
	m, err := models.New("resnet18", models.Config{Channels: 3, Classes: 2, Blocks: []int{1, 1, 1, 1}})
	if err != nil {
		t.Fatal(err)
	}
	info := checkpoint.Model{Architecture: "resnet18", Classes: []string{"a", "b"}, Input: prepare.Input{Channels: 3, Height: side, Width: side}}
	open := func() *Classifier {
		return New(&modelfile.Model{Path: "m", Info: info, Module: m}, dev, engine.FP32)
	}
	single, c := open(), open()
	if _, err := single.Logits(tensor.New(1, 3, side, side)); err != nil {
		t.Fatal(err)
	}
	if err := c.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	warm, alone := c.runner.Memory(), single.runner.Memory()
	parameters := 0
	for _, p := range nn.Parameters(m) {
		parameters += p.Value.Numel()
	}
	if warm.Variables != alone.Variables || warm.Variables < 4*int64(parameters) {
		t.Errorf("the variables have %d bytes, for batches of one %d", warm.Variables, alone.Variables)
	}
	// Each size has an input of its own; packed weights are there once.
	if inputs := int64(4 * 3 * side * side * (1 + 2 + 4 + 8 + 16 + 32)); warm.Own > alone.Own+inputs+alone.Own/10 {
		t.Errorf("the programs have %d bytes of their own, that for one image %d, and the inputs have %d", warm.Own, alone.Own, inputs)
	}
	programs := c.runner.Programs()
	x := make([]*tensor.Tensor, 63)
	for i := range x {
		x[i] = tensor.New(1, 3, side, side)
	}
	for n := 1; n <= len(x); n += 7 {
		if _, err := c.queue.ask(t.Context(), x[:n]...); err != nil {
			t.Fatal(err)
		}
	}
	if sizes := c.runner.Programs(); !slices.Equal(sizes, programs) || len(sizes) != 6 {
		t.Errorf("compiled for batches of %v, after Warm for %v", sizes, programs)
	}
}

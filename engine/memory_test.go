package engine_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// bounded is a device with a limited number of free bytes. It records the largest
// allocation.
type bounded struct {
	*cpu.Device
	free, largest int64
}

func (b *bounded) Fits(bytes int64) error {
	if bytes > b.free {
		return fmt.Errorf("%d bytes are needed and %d are free", bytes, b.free)
	}
	return nil
}

func (b *bounded) Alloc(n int) engine.Buffer {
	b.largest = max(b.largest, 4*int64(n))
	return b.Device.Alloc(n)
}

func TestMemoryIsCheckedBeforeWork(t *testing.T) {
	device, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	dev := &bounded{Device: device, free: 1 << 20}
	store := engine.NewStore(dev)
	compile := func(n int) error {
		g := graph.New(graph.Eval)
		x := g.Input("x", tensor.Float32, n, 1024)
		_, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{x.Add(x)}})
		return err
	}
	if err := compile(64); err != nil { // a quarter of a megabyte in, and one out
		t.Fatal(err)
	}
	dev.largest = 0
	var memory *engine.MemoryError
	err = compile(1 << 30) // beyond any machine
	if !errors.As(err, &memory) || !strings.Contains(err.Error(), "are free; use a smaller batch") {
		t.Errorf("got %v", err)
	}
	if dev.largest > 0 {
		t.Errorf("%d bytes were allocated", dev.largest)
	}
	// Programs of one store share the arena, so a second one needs no more memory.
	dev.free = 1 << 18
	if err := compile(64); err != nil {
		t.Error(err)
	}
	if err := compile(65); !errors.As(err, &memory) {
		t.Errorf("got %v", err)
	}
}

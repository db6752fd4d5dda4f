package train_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/train"
)

func tiny(t *testing.T) train.Config {
	return train.Config{Data: "garments", TrainSize: 64, TestSize: 32, Batch: 32, Epochs: 3, Out: filepath.Join(t.TempDir(), "runs")}
}

// After a failed save the error and the summary say which weights the files have: the state of
// epoch 2 cannot be written, so last.safetensors still has the weights of epoch 1.
func TestAfterAFailedSave(t *testing.T) {
	c := tiny(t)
	s, err := train.Run(context.Background(), device(t, 1), c, train.Callbacks{OnEpoch: func(e train.Epoch) {
		if e.Epoch == 1 {
			state := filepath.Join(c.Out, "train-1", train.StateFile)
			if err := errors.Join(os.Remove(state), os.MkdirAll(filepath.Join(state, "in the way"), 0o777)); err != nil {
				t.Error(err)
			}
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "the weights of epoch 1 are in "+s.Last) || s.LastEpoch != 1 || s.Epochs != 2 {
		t.Errorf("after %d epochs: %v; %s has epoch %d", s.Epochs, err, s.Last, s.LastEpoch)
	}
}

// A file that something else removed is missing from the summary's paths.
func TestRemovedFiles(t *testing.T) {
	c := tiny(t)
	s, err := train.Run(context.Background(), device(t, 1), c, train.Callbacks{OnEpoch: func(e train.Epoch) {
		for _, name := range []string{train.BestFile, train.StateFile} {
			if err := os.Remove(filepath.Join(c.Out, "train-1", name)); e.Epoch == c.Epochs && err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
		}
	}})
	if err != nil || s.Best != "" || s.State != "" || len(s.Missing) != 2 || s.Last == "" || s.LastEpoch != 3 {
		t.Errorf("best %q, last %q of epoch %d, state %q, missing %q (%v)", s.Best, s.Last, s.LastEpoch, s.State, s.Missing, err)
	}
}

// bounded is a CPU with a limited memory.
type bounded struct {
	*cpu.Device
	free  int64
	asked *int64
}

func (b bounded) Fits(bytes int64) error {
	*b.asked = max(*b.asked, bytes)
	if bytes > b.free {
		return fmt.Errorf("%d bytes are needed and %d are free", bytes, b.free)
	}
	return nil
}

// A training that would not fit into memory is refused before it begins, counting the network,
// the optimiser and the batches. It leaves no folder.
func TestMemoryIsCheckedBeforeWork(t *testing.T) {
	var all int64
	c := tiny(t)
	c.Epochs, c.Momentum = 1, 0.9
	s, err := train.Run(context.Background(), bounded{device(t, 1), 1 << 40, &all}, c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	if all < s.PlannedBytes*4/5 { // without the parameters, which are allocated before
		t.Errorf("%d bytes were asked for, and %d are planned", all, s.PlannedBytes)
	}
	c.Out = filepath.Join(t.TempDir(), "runs")
	for _, free := range []int64{all - 1, all / 2, 1000} {
		var asked int64
		_, err := train.Run(context.Background(), bounded{device(t, 1), free, &asked}, c, train.Callbacks{})
		var memory *engine.MemoryError
		if !errors.As(err, &memory) {
			t.Errorf("%d bytes: got %v", free, err)
		}
		if _, err := os.Stat(c.Out); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%d bytes: something is left (%v)", free, err)
		}
	}
}

package train_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/train"
)

// A training of a length that a budget decided is redone and resumed with the same bits.
func TestDecidedLengthSameBits(t *testing.T) {
	c := brief(filepath.Join(t.TempDir(), "runs"), "fp32") // 7 batches an epoch
	c.Length, c.Epochs = []int{0, 21, 3, 30, 9, 17}, 3
	want, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	if want.Steps != 17 || want.Epochs != 3 {
		t.Errorf("%d steps in %d epochs", want.Steps, want.Epochs)
	}
	s := stopAt(t, c, 1, 12)
	got := resume(t, s.Dir, 3, train.Callbacks{})
	same(t, got.Dir, want.Dir)
	r, err := train.OpenRun(want.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resume(context.Background(), device(t, 1), r.Config, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), "has completed all of its 3 epochs") {
		t.Errorf("resumed with %v", err)
	}
	c.Epochs = 5
	if _, err := train.Run(context.Background(), device(t, 1), c, train.Callbacks{}); err == nil || !strings.HasPrefix(err.Error(), "Epochs 5: the settings have a length of 17 batches") {
		t.Errorf("another number of epochs: %v", err)
	}
}

// What a budget decides is in the settings of the run, and these redo it.
func TestBudgetRecordsItsLength(t *testing.T) {
	c := brief(filepath.Join(t.TempDir(), "runs"), "fp32")
	c.Epochs, c.TrainSize, c.TestSize = 0, 100, 20
	c.Forecast = &train.Forecast{Budget: time.Hour}
	want, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := train.OpenRun(want.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Config.Length; len(l) < 2 || l[0] != 0 || l[len(l)-1] != want.Steps || r.Config.Epochs != want.Epochs || !slices.Equal(l, want.Config.Length) {
		t.Errorf("length %v and %d epochs of %d steps in %d epochs", l, r.Config.Epochs, want.Steps, want.Epochs)
	}
	got, err := train.Run(context.Background(), device(t, 1), r.Config, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, got.Dir, want.Dir)
}

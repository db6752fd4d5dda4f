package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/residual-ml/residual/train"
)

// tripwire is a writer that cancels a context when a word is written.
type tripwire struct {
	mu     sync.Mutex
	text   bytes.Buffer
	word   string
	cancel func()
}

func (w *tripwire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if strings.Contains(w.text.String(), w.word) {
		w.cancel()
	}
	return len(p), nil
}

func (w *tripwire) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// An interrupted training leaves a model that eval takes, and says so.
func TestTrainInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stdout, stderr := &tripwire{word: "\x00", cancel: cancel}, &tripwire{word: "/train-1\n", cancel: cancel}
	out := t.TempDir()
	status := run(ctx, []string{"train", "--data", "garments", "--train-size", "640", "--test-size", "50", "--batch", "32", "--epochs", "50", "--out", out}, stdout, stderr)
	last := filepath.Join(out, "train-1", "last.safetensors")
	if status != 1 || !strings.Contains(stdout.String(), "stopped in epoch 1 after batch 1") || !strings.Contains(stdout.String(), "residual eval "+last) {
		t.Errorf("status %d, stdout:\n%s", status, stdout)
	}
	if strings.Contains(stdout.String(), "test acc") {
		t.Errorf("an epoch that was not tested has a test accuracy:\n%s", stdout)
	}
	if strings.Contains(stderr.String(), "residual:") || !strings.Contains(stderr.String(), "Ctrl-C again") {
		t.Errorf("stderr:\n%s", stderr)
	}
	if !strings.HasSuffix(stdout.String(), "\nno epoch was completed, so the training can only be started again\n") {
		t.Errorf("nothing is said of going on:\n%s", stdout)
	}
	if status, text, problem := call("eval", last); status != 0 || !strings.Contains(text, "accuracy") {
		t.Errorf("eval of %s: status %d, %s", last, status, problem)
	}
}

// An interrupt before the first step leaves nothing.
func TestTrainInterruptedBefore(t *testing.T) {
	dir := t.TempDir()
	photos, out := filepath.Join(dir, "photos"), filepath.Join(dir, "runs")
	if status, _, problem := call("data", "make", photos, "--per-class", "3"); status != 0 {
		t.Fatal(problem)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr tripwire
	stdout.word, stderr.word, stdout.cancel, stderr.cancel = "\x00", "\x00", cancel, cancel
	status := run(ctx, []string{"train", "--data", photos, "--out", out}, &stdout, &stderr)
	if _, err := os.Stat(out); status != 1 || !os.IsNotExist(err) || stdout.String() != "" {
		t.Errorf("status %d, %v, stdout:\n%s", status, err, &stdout)
	}
	if got := stderr.String(); !strings.Contains(got, "interrupted before the first step; nothing was written\n") || strings.Contains(got, "saving") {
		t.Errorf("stderr:\n%s", got)
	}
}

// The last line after an interrupt is the command that resumes the run.
func TestTrainSaysHowToResume(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stdout, stderr := &tripwire{word: "\x00", cancel: cancel}, &tripwire{word: "\x00", cancel: cancel}
	out := t.TempDir()
	go func() { // until the first epoch is saved
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(out, "train-1", train.StateFile)); err == nil {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	status := run(ctx, []string{"train", "--data", "garments", "--train-size", "320", "--test-size", "50", "--epochs", "30", "--out", out}, stdout, stderr)
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	said, command, ok := strings.Cut(lines[len(lines)-1], ": residual ")
	epoch, is := strings.CutPrefix(said, "go on after ")
	if status != 1 || !ok || !is {
		t.Fatalf("status %d, stdout:\n%s", status, stdout)
	}
	if status, text, progress := call(strings.Fields(command)...); status != 0 || !strings.Contains(progress, "goes on after "+epoch+",") || !strings.Contains(text, "epoch 30: ") {
		t.Errorf("%s: status %d, %s%s", command, status, text, progress)
	}
}

// Counts have commas, and nothing is said if nothing was chosen.
func TestChosenFor(t *testing.T) {
	if got := chosenFor(1520); !strings.HasPrefix(got, "chosen for 1,520 images to train on; ") || chosenFor(0) != "" {
		t.Errorf("%q, and %q for none", got, chosenFor(0))
	}
}

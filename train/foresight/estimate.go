// Package foresight says what a training will take before it starts, and chooses the
// training that suits a time. It reckons with figures alone: what measures them is
// loop.Trainer.Measure, and what trains is package train.
package foresight

import (
	"fmt"
	"strings"
	"time"

	"github.com/residual-ml/residual/train/loop"
)

// Estimate is what a training will take, from a trial of its steps (Trainer.Measure).
type Estimate struct {
	loop.Speed
	Epochs int           // to come
	Saving time.Duration // the files of an epoch, and what the caller does after it
	After  time.Duration // what the caller does when all epochs are done
	Total  time.Duration // from now to the end of all that
	Memory Need
}

// Need is the memory of a process that trains, in bytes.
type Need struct {
	Network  int64 // activations, their gradients and what steps use for themselves
	Weights  int64 // parameters and buffers on the device and for the host, and what the optimiser keeps
	Pictures int64 // the data set, as much of it as is kept, and batches that are prepared
	Program  int64 // the rest: the program itself, files being written, and what is not collected yet
	Total    int64 // the most at once
}

// For is e for so many epochs.
func (e Estimate) For(epochs int) *Estimate {
	e.Epochs = epochs
	e.Total = e.Training(epochs) + time.Duration(epochs)*e.Saving + e.After
	return &e
}

// fits is how many epochs fit into a time, with what comes before and after them.
func (e Estimate) fits(left time.Duration) int {
	once := e.Training(1) - e.Epoch - e.Evaluation + e.After // what the first epoch takes more, too
	return max(int((left-once)/max(e.each(), 1)), 0)
}

// each is an epoch but the first, with all that belongs to it.
func (e Estimate) each() time.Duration { return e.Epoch + e.Evaluation + e.Saving }

func count(epochs int) string {
	if epochs == 1 {
		return "1 epoch"
	}
	return fmt.Sprintf("%d epochs", epochs)
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}

// spell writes 10m for ten minutes, as the flag is given.
func spell(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

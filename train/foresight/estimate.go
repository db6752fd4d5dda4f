// Package foresight estimates the time and memory of a training before it starts, and chooses
// the training that fits into a given time. It only calculates: loop.Trainer.Measure measures
// the speed, and package train runs the training.
package foresight

import (
	"fmt"
	"strings"
	"time"

	"github.com/residual-ml/residual/train/loop"
)

// Estimate is the estimated time and memory of a training, from a trial of its steps (see
// loop.Trainer.Measure).
type Estimate struct {
	loop.Speed
	Epochs int           // number of epochs
	Saving time.Duration // per epoch: writing its files, and the caller's work after it
	After  time.Duration // the caller's work after the last epoch
	Total  time.Duration // from now until all of that is done
	Memory Need
}

// Need is the memory that a training process needs, in bytes.
type Need struct {
	Network int64 // activations, their gradients and scratch memory of steps
	Weights int64 // parameters and buffers on the device and the host, and the optimiser's state
	Images  int64 // images: the decoded-image cache, and batches being prepared
	Program int64 // everything else: the program itself, files being written, and garbage not collected yet
	Total   int64 // the largest amount at one time
}

// For returns the estimate for so many epochs.
func (e Estimate) For(epochs int) *Estimate {
	e.Epochs = epochs
	e.Total = e.Training(epochs) + time.Duration(epochs)*e.Saving + e.After
	return &e
}

// fits returns how many epochs fit into a time, including the work before and after them.
func (e Estimate) fits(left time.Duration) int {
	once := e.Training(1) - e.Epoch - e.Evaluation + e.After // includes the additional time of the first epoch
	return max(int((left-once)/max(e.each(), 1)), 0)
}

// each returns the time of any epoch but the first, including its evaluation and saving.
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

// spell writes a duration in the short form of a flag, such as 10m for ten minutes.
func spell(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Package foresight estimates the time and memory of a training before it starts, and chooses
// the training that fits into a given time. It only calculates: loop.Trainer.Measure measures
// the speed, and package train runs the training.
package foresight

import (
	"math"
	"strconv"
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

// fits returns how many epochs fit into a time, including the work before and after them. A part of
// an epoch has its evaluation in proportion.
func (e Estimate) fits(left time.Duration) float64 {
	return max(float64(left-e.once())/float64(max(e.each(), 1)), 0)
}

// once returns the time of the work after the epochs, and the additional time of the first.
func (e Estimate) once() time.Duration { return e.Training(1) - e.Epoch - e.Evaluation + e.After }

// each returns the time of any epoch but the first, including its evaluation and saving.
func (e Estimate) each() time.Duration { return e.Epoch + e.Evaluation + e.Saving }

func count(epochs float64) string {
	if epochs == 1 {
		return "1 epoch"
	}
	return decimal(epochs) + " epochs"
}

// decimal writes a number of epochs, with a digit after the point if it is small.
func decimal(epochs float64) string {
	if epochs >= 20 {
		epochs = math.Floor(epochs)
	}
	return strconv.FormatFloat(math.Floor(epochs*10)/10, 'f', -1, 64)
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

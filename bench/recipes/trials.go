package main

import (
	"fmt"
	"strings"
)

// images are those of some classes of a folder, of which so many of each are to train on.
type images struct {
	folder  string // a flag: cifar, fashion or photos
	classes string // words; empty for all
	train   int    // of each class; 0 for as many as the sweep asks for
}

// pair is a training of a source and one from its weights on other images.
type pair struct {
	name           string
	model          string // flags of the net and the size of its images
	source, target images
	trained        string // flags of the source's training
}

// tested is the number of images of each class to test on.
const tested = 200

var pairs = []pair{
	{
		name: "cifar", model: "--model cifar-resnet20 --resize 32 --resize-shorter 32",
		source:  images{"cifar", "airplane automobile bird cat deer", 2000},
		target:  images{"cifar", "dog frog horse ship truck", 0},
		trained: "--augment crop --batch 64 --epochs 15 --lr 0.1 --weight-decay 0.0005",
	},
	{
		name: "fashion", model: "--model cifar-resnet8 --resize 28 --resize-shorter 28 --channels 1",
		source:  images{"fashion", "0 1 2 3 4", 1000},
		target:  images{"fashion", "5 6 7 8 9", 0},
		trained: "--augment flip --batch 64 --epochs 5 --lr 0.1 --weight-decay 0.0005",
	},
	{
		name: "photos", model: "--model resnet18 --blocks 1,1,1,1 --resize 64 --resize-shorter 73",
		source:  images{"cifar", "", 300},
		target:  images{"photos", "", 0},
		trained: "--augment standard --batch 32 --epochs 6 --lr 0.05 --weight-decay 0.0005",
	},
}

// start is the training from which each trial differs by one thing: at least 600 steps of 32
// images, or 24 passes over them.
const start = "--batch 32 --lr 0.05 --schedule cosine,warmup=0.05 --optimizer sgd --momentum 0.9 --nesterov " +
	"--weight-decay 0.0005 --label-smoothing 0.1 --augment standard --crop-scale 0.5"

// trial is a training by flags. A flag that is given twice has the last value.
type trial struct {
	name    string
	scratch bool   // from new weights
	flags   string // after those of start
	bare    bool   // without those of start
	steps   float64
	norms   bool // freezes the batch norms
}

// trials are in the order of their use to somebody who waits.
var trials = []trial{
	{name: "start", flags: ""},
	{name: "scratch", scratch: true},
	{name: "default", bare: true},
	{name: "default scratch", bare: true, scratch: true},
	{name: "rate 0.01", flags: "--lr 0.01"},
	{name: "rate 0.1", flags: "--lr 0.1"},
	{name: "rate 0.02", flags: "--lr 0.02"},
	{name: "rate 0.005", flags: "--lr 0.005"},
	{name: "scratch rate 0.1", scratch: true, flags: "--lr 0.1"},
	{name: "scratch rate 0.02", scratch: true, flags: "--lr 0.02"},
	{name: "head", flags: "--freeze backbone --augment none"},
	{name: "crops 0.25", flags: "--crop-scale 0.25"},
	{name: "flip", flags: "--augment flip"},
	{name: "scratch crops 0.25", scratch: true, flags: "--crop-scale 0.25"},
	{name: "scratch flip", scratch: true, flags: "--augment flip"},
	{name: "frozen norms", norms: true},
	{name: "layer decay 0.8", flags: "--layer-decay 0.8"},
	{name: "backbone rate 0.1", flags: "--backbone-lr-scale 0.1"},
	{name: "no warm-up", flags: "--schedule cosine"},
	{name: "decay 1e-4", flags: "--weight-decay 0.0001"},
	{name: "decay 2e-3", flags: "--weight-decay 0.002"},
	{name: "scratch decay 1e-4", scratch: true, flags: "--weight-decay 0.0001"},
	{name: "ema 0.99", flags: "--ema 0.99"},
	{name: "no smoothing", flags: "--label-smoothing 0"},
	{name: "300 steps", steps: 0.5},
	{name: "1200 steps", steps: 2},
	{name: "scratch 1200 steps", scratch: true, steps: 2},
	{name: "adamw", bare: true, flags: "--optimizer adamw"},
	{name: "scratch adamw", bare: true, scratch: true, flags: "--optimizer adamw"},
	{name: "scratch ema 0.99", scratch: true, flags: "--ema 0.99"},
	{name: "scratch no smoothing", scratch: true, flags: "--label-smoothing 0"},
	{name: "trivial", flags: "--augment trivial"},
	{name: "crops 0.08", flags: "--crop-scale 0.08"},
}

// arguments returns the flags of a trial on n images to train on.
func (t trial) arguments(n int, norms string) []string {
	if t.bare {
		return strings.Fields(t.flags)
	}
	steps := max(600, 24*float64(n)/32)
	if t.steps > 0 {
		steps *= t.steps
	}
	repeat := max(1, 60*32/n)
	batches := max(1, (repeat*n+16)/32)
	text := fmt.Sprintf("%s --repeat %d --epochs %d %s", start, repeat, max(1, (int(steps)+batches/2)/batches), t.flags)
	if t.norms {
		text += " --freeze " + norms
	}
	return strings.Fields(text)
}

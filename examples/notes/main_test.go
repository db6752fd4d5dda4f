package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train"
)

func TestNotes(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "notes.png")
	var out bytes.Buffer
	c := train.Config{Data: "garments", Resize: 28, Batch: 32, Epochs: 2, LR: 0.05, TrainSize: 160, TestSize: 40, Out: t.TempDir()}
	if err := run(&out, c, plot); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^\[4, 3, 6, 6\]
\[4, 6, 3, 3\]
Conv2d output shape:	\[1, 64, 112, 112\]
BatchNorm2d output shape:	\[1, 64, 112, 112\]
ReLU output shape:	\[1, 64, 112, 112\]
MaxPool2d output shape:	\[1, 64, 56, 56\]
Sequential output shape:	\[1, 64, 56, 56\]
Sequential output shape:	\[1, 128, 28, 28\]
Sequential output shape:	\[1, 256, 14, 14\]
Sequential output shape:	\[1, 512, 7, 7\]
AdaptiveAvgPool2d output shape:	\[1, 512, 1, 1\]
Flatten output shape:	\[1, 512\]
Linear output shape:	\[1, 10\]
(epoch [0-9.]+: loss [0-9.]+, train acc 0\.[0-9]+
){10}loss [0-9.]+, train acc 0\.[0-9]{3}, test acc 0\.[0-9]{3}
[0-9.]+ images/s on cpu, saved in .*train-1
$`)
	if !want.MatchString(out.String()) {
		t.Errorf("got:\n%s", out.String())
	}
	file, err := os.Open(plot)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if img, err := png.Decode(file); err != nil || img.Bounds().Dx() < 100 {
		t.Errorf("the plot: %v", err)
	}
}

func TestNetIsTheNotes(t *testing.T) {
	if n := nn.Count(resnet()); n != 11178378 {
		t.Errorf("%d parameters, the notes' network has 11178378", n)
	}
}

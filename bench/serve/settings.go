package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

var (
	residual = flag.String("residual", "", "the program; default: built from ../..")
	model    = flag.String("model", "", "model file of a resnet18 at 224 pixels (required)")
	large    = flag.String("large", "", "model file of a resnet50, for memory and start alone")
	litserve = flag.String("litserve", "", "Python with litserve, torch and torchvision")
	mlserver = flag.String("mlserver", "", "Python with mlserver, torch and torchvision")
	ort      = flag.String("onnxruntime", "", "Python with onnxruntime and uvicorn")
	seconds  = flag.Duration("time", 5*time.Second, "time of a point")
	rounds   = flag.Int("rounds", 1, "how often the servers take turns")
	only     = flag.String("only", "load,bench,overload,start", "what is measured")
)

// wants reports whether a part is to be measured.
func wants(what string) bool { return slices.Contains(strings.Split(*only, ","), what) }

// run runs a program that says what is wrong itself.
func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

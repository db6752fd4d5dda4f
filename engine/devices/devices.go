// Package devices opens what computes by its name.
package devices

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/cuda"
)

// Names lists what Open knows; cuda:1 and so on are further GPUs.
func Names() []string { return []string{"auto", "cpu", "cuda"} }

// Open opens the device called name: "cpu", "cuda" (the first NVIDIA GPU), "cuda:n" (GPU
// n, counted from 0), or "auto", which is the first GPU where one can be opened and the
// CPU elsewhere; why then says what kept it from the GPU. o is for the CPU. Close the
// device after use.
func Open(name string, o cpu.Options) (dev engine.Device, why string, err error) {
	return open(name, o, cuda.Open)
}

func open(name string, o cpu.Options, gpu func(int) (engine.Device, error)) (engine.Device, string, error) {
	index, err := parse(name)
	if err != nil {
		return nil, "", err
	}
	why := ""
	if name != "cpu" {
		dev, err := gpu(index)
		if err == nil {
			return dev, "", nil
		}
		if name != "auto" {
			return nil, "", err
		}
		why = err.Error()
	}
	dev, err := cpu.New(o)
	if err != nil {
		return nil, "", err
	}
	return dev, why, nil
}

// Check returns an error for a name that Open does not know; it opens nothing.
func Check(name string) error {
	_, err := parse(name)
	return err
}

// parse returns the number of the GPU that name means, if it means one.
func parse(name string) (index int, err error) {
	switch name {
	case "auto", "cpu", "cuda":
		return 0, nil
	}
	number, ok := strings.CutPrefix(name, "cuda:")
	if index, err := strconv.Atoi(number); ok && err == nil && index >= 0 && number == strconv.Itoa(index) {
		return index, nil
	}
	return 0, fmt.Errorf("device %q is not known; choose auto, cpu, cuda or cuda:n for GPU n", name)
}

// Threads returns how many threads a device shares its work among; 0 for a GPU.
func Threads(d engine.Device) int {
	if t, ok := d.(interface{ Threads() int }); ok {
		return t.Threads()
	}
	return 0
}

// Kernels returns the instruction set of the CPU's kernels, and the description of any other
// device.
func Kernels(d engine.Device) string {
	if c, ok := d.(*cpu.Device); ok {
		return c.ISA().String()
	}
	return d.Describe()
}

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/engine/devices"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/train/settings"
)

// maxThreads is the largest number of threads; no machine has as many cores.
const maxThreads = 4096

// deviceFlags choose the device and the precision.
type deviceFlags struct {
	threads   int
	kernels   string
	device    string
	precision string
	purpose   engine.Purpose // of the programs, which auto depends on
}

func (f *deviceFlags) add(cmd *cobra.Command) {
	f.addTraining(cmd)
	f.purpose = engine.Inference
	fs, precision := cmd.Flags(), settings.Of("Precision")
	fs.Lookup(precision.Flag()).Usage = "auto, int8, bf16, tf32 or fp32"
	note(fs, precision.Flag(), noteMore, precision.More+" int8 is for quantised models, and auto takes it for them.")
}

// addTraining is add for a command that trains, which no program in int8 does.
func (f *deviceFlags) addTraining(cmd *cobra.Command) {
	f.addDevice(cmd)
	f.purpose = engine.Training
	fs, precision := cmd.Flags(), settings.Of("Precision")
	fs.StringVar(&f.precision, precision.Flag(), precision.Default, precision.Help)
	note(fs, precision.Flag(), noteMore, precision.More)
	describeSetting(fs, precision)
	_ = cmd.RegisterFlagCompletionFunc("precision", words(engine.PrecisionNames()...))
}

// addDevice is add without the precision, for a command that computes in several.
func (f *deviceFlags) addDevice(cmd *cobra.Command) {
	f.precision = "auto"
	fs, threads := cmd.Flags(), settings.Of("Threads")
	fs.StringVar(&f.device, "device", "auto", "auto, cpu, cuda or cuda:1")
	fs.IntVar(&f.threads, threads.Flag(), 0, threads.Help)
	fs.StringVar(&f.kernels, "kernels", "auto", "instruction set of the kernels: auto, "+strings.Join(kernelNames(), ", "))
	takes(fs, "NAME", "device", "kernels")
	inGroup(fs, settings.Device, "device", "kernels")
	note(fs, "device", noteMore, "That is what computes: auto is an NVIDIA GPU where there is one, else the CPU; cuda:1 is the second GPU.")
	describeSetting(fs, threads)
	common(fs, "device")
	_ = cmd.RegisterFlagCompletionFunc("kernels", words(append([]string{"auto"}, kernelNames()...)...))
	_ = cmd.RegisterFlagCompletionFunc("device", words(devices.Names()...))
}

// open starts the device, which the caller closes. Errors name the flag.
func (f *deviceFlags) open() (engine.Device, error) {
	if f.threads < 0 || f.threads > maxThreads {
		return nil, usagef("--threads %d: give a number of threads up to %d, or 0 for all cores", f.threads, maxThreads)
	}
	if err := devices.Check(f.device); err != nil {
		return nil, usagef("--device: %v", err)
	}
	if !slices.Contains(engine.PrecisionNames(), f.precision) && f.precision != engine.INT8.String() {
		return nil, usagef("--precision %s is not known; choose auto, int8, bf16, tf32 or fp32", f.precision)
	}
	isa, err := f.isa()
	if err != nil {
		return nil, err
	}
	dev, _, err := devices.Open(f.device, cpu.Options{Threads: f.threads, ISA: isa})
	if err != nil {
		return nil, usagef("--device %s: %v; use --device cpu", f.device, err)
	}
	if p := f.on(dev); dev.Computes(p) != nil {
		defer dev.Close()
		return nil, usagef("--precision %v: %v", p, dev.Computes(p))
	}
	return dev, nil
}

// isa returns the instruction set of --kernels; nil leaves the choice to the device.
func (f *deviceFlags) isa() (*kernel.ISA, error) {
	if f.kernels == "auto" {
		return nil, nil
	}
	isa, err := kernel.ParseISA(f.kernels)
	if err != nil {
		return nil, usagef("--kernels %s is not known; choose auto or one of %s", f.kernels, strings.Join(kernelNames(), ", "))
	}
	var have []string
	for _, a := range kernel.Available() {
		if a == isa {
			return &isa, nil
		}
		have = append(have, a.String())
	}
	return nil, usagef("--kernels %v: this machine or this build cannot run them, only %s; use --kernels auto", isa, strings.Join(have, ", "))
}

// kernelNames lists the instruction sets, the fastest first.
func kernelNames() []string {
	names := kernel.Names()
	slices.Reverse(names)
	return names
}

// on returns the precision to use on a device. open has checked the flag.
func (f *deviceFlags) on(d engine.Device) engine.Precision {
	p, err := engine.ParsePrecision(f.precision, d, f.purpose)
	if err != nil {
		panic(err)
	}
	return p
}

// forModel returns the precision in which a model that is opened computes: engine.Auto leaves it
// to the model.
func (f *deviceFlags) forModel(d engine.Device) engine.Precision {
	if f.precision == engine.Auto.String() {
		return engine.Auto
	}
	return f.on(d)
}

// describe returns the line that describes device and precision: "cpu, 2 threads, avx512 kernels, fp32".
func (f *deviceFlags) describe(d engine.Device) string { return describeIn(d, f.on(d)) }

// describeIn is describe for a precision.
func describeIn(d engine.Device, p engine.Precision) string {
	return fmt.Sprintf("%s, %s, %v", d.Name(), d.Describe(), p)
}

// threadsOf returns the number of threads of a device; 0 for a GPU.
func threadsOf(d engine.Device) int { return devices.Threads(d) }

// room returns an error if there are not so many bytes of free memory, where the system tells.
func room(bytes int64) error { return host.ReadMemory().Fits(bytes) }

// words completes one of a few words.
func words(w ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return w, cobra.ShellCompDirectiveNoFileComp
	}
}

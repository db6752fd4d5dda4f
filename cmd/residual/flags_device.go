package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/engine/cuda"
	"github.com/residual-ml/residual/engine/devices"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train/settings"
)

// mostThreads is beyond every machine's cores.
const mostThreads = 4096

// deviceFlags say what computes, and in which numbers.
type deviceFlags struct {
	threads   int
	kernels   string
	device    string
	precision string
	why       string // auto means the CPU, once open
}

func (f *deviceFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.IntVar(&f.threads, "threads", 0, settings.Of("Threads").Help)
	fs.StringVar(&f.kernels, "kernels", "auto", "instruction set of the kernels: auto or one of "+strings.Join(kernelNames(), ", "))
	fs.StringVar(&f.device, "device", "auto", "what computes: cpu, cuda (an NVIDIA GPU; cuda:1 the second one), or auto: the GPU where there is one")
	fs.StringVar(&f.precision, "precision", settings.Of("Precision").Default, settings.Of("Precision").Help)
	_ = cmd.RegisterFlagCompletionFunc("kernels", words(append([]string{"auto"}, kernelNames()...)...))
	_ = cmd.RegisterFlagCompletionFunc("device", words(devices.Names()...))
	_ = cmd.RegisterFlagCompletionFunc("precision", words(engine.PrecisionNames()...))
}

// open starts the device; close it after use. Errors name the flag.
func (f *deviceFlags) open() (engine.Device, error) {
	if f.threads < 0 || f.threads > mostThreads {
		return nil, usagef("--threads %d: give a number of threads up to %d, or 0 for all cores", f.threads, mostThreads)
	}
	if err := devices.Check(f.device); err != nil {
		return nil, usagef("--device: %v", err)
	}
	if !slices.Contains(engine.PrecisionNames(), f.precision) {
		return nil, usagef("--precision %s is not known; choose auto, bf16, tf32 or fp32", f.precision)
	}
	isa, err := f.isa()
	if err != nil {
		return nil, err
	}
	dev, why, err := devices.Open(f.device, cpu.Options{Threads: f.threads, ISA: isa})
	if err != nil {
		return nil, usagef("--device %s: %v; use --device cpu", f.device, err)
	}
	f.why = why
	if p := f.on(dev); dev.Computes(p) != nil {
		defer dev.Close()
		return nil, usagef("--precision %v: %v", p, dev.Computes(p))
	}
	return dev, nil
}

// openSaying is open for a command without a first line of its own: somebody who looks
// on is told on standard error why auto chose the CPU, by a program that could use a GPU.
func (f *deviceFlags) openSaying(cmd *cobra.Command) (engine.Device, error) {
	dev, err := f.open()
	if err == nil && f.why != "" && cuda.Built && report.IsTerminal(cmd.ErrOrStderr()) {
		fmt.Fprintf(cmd.ErrOrStderr(), "on the CPU%s\n", f.reason())
	}
	return dev, err
}

// isa is the forced instruction set; nil leaves the choice to the device.
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

// on is the precision that will be used on a device; open has checked the flag.
func (f *deviceFlags) on(d engine.Device) engine.Precision {
	p, err := engine.ParsePrecision(f.precision, d)
	if err != nil {
		panic(err)
	}
	return p
}

// describe is the line that says what was chosen: "cpu, 2 threads, avx512 kernels, fp32".
func (f *deviceFlags) describe(d engine.Device) string {
	return fmt.Sprintf("%s, %s, %v", d.Name(), d.Describe(), f.on(d))
}

// reason says why the open device is the CPU, where auto chose it.
func (f *deviceFlags) reason() string {
	if f.why == "" {
		return ""
	}
	return " (no GPU: " + f.why + ")"
}

// threadsOf is how many threads a device shares its work among; 0 for a GPU.
func threadsOf(d engine.Device) int { return devices.Threads(d) }

// room says whether this process can take so many bytes of memory, where the system tells.
func room(bytes int64) error { return host.ReadMemory().Fits(bytes) }

// words completes one of a few values.
func words(w ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return w, cobra.ShellCompDirectiveNoFileComp
	}
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/engine/cuda"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/report"
)

// doctorResult is what doctor --json prints.
type doctorResult struct {
	Version          string         `json:"version"`
	Go               string         `json:"go"`
	OS               string         `json:"os"`
	Arch             string         `json:"arch"`
	CPU              string         `json:"cpu"`
	Features         []host.Feature `json:"features"`
	Kernels          string         `json:"kernels"`           // what auto chooses
	KernelsAvailable []string       `json:"kernels_available"` // slowest first
	Cores            int            `json:"cores"`
	Threads          int            `json:"threads"`            // GOMAXPROCS, what --threads 0 takes
	MemoryBytes      int64          `json:"memory_bytes"`       // 0 where the system does not tell
	AvailableBytes   int64          `json:"available_bytes"`    // likewise
	MemoryLimit      int64          `json:"memory_limit"`       // of the control group or container, 0 for none
	Caches           []host.Cache   `json:"caches,omitempty"`   // of the first core
	Precision        string         `json:"precision"`          // what auto chooses on the CPU
	Training         string         `json:"training_precision"` // that of training
	Paths            []kernel.Path  `json:"paths"`              // by which instructions each operation is computed
	Devices          []string       `json:"devices"`
	GPU              string         `json:"gpu"` // which there are, or why there is none
	Data             []foundData    `json:"data"`
}

type foundData struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Where   string `json:"where,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func doctorCommand() *cobra.Command {
	var flags dataFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this machine has, how Residual uses it, and which data sets are here",
		Long: `Show what this machine has and how Residual uses it: CPU features, the kernels
chosen, cores, memory, caches, the precision that auto stands for, devices, and
the data sets found, whose digests are verified. Nothing is downloaded.`,
		Example: "  residual doctor\n  residual doctor --data-dir ~/data --json",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			r := examine()
			r.Data = findData(ctx, flags.options(cmd, data.Train))
			if err := ctx.Err(); err != nil {
				return errors.New("interrupted")
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return r.write(cmd.OutOrStdout())
		},
	}
	flags.add(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// examine describes the machine.
func examine() *doctorResult {
	r := &doctorResult{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: host.CPU(), Features: host.Features(),
		Kernels: kernel.Best().String(), Cores: runtime.NumCPU(), Threads: runtime.GOMAXPROCS(0),
		Caches: host.Caches(), Devices: []string{"cpu"},
	}
	gpus := cuda.Find()
	r.GPU = gpus.String()
	for i := range gpus.GPUs {
		r.Devices = append(r.Devices, fmt.Sprintf("cuda:%d", i))
	}
	r.Version, r.Go = checkpoint.Versions()
	set := kernel.For(kernel.Best())
	r.Paths = set.Paths()
	r.Precision, r.Training = cpu.PreferredBy(set, engine.Inference).String(), cpu.PreferredBy(set, engine.Training).String()
	m := host.ReadMemory()
	r.MemoryBytes, r.AvailableBytes, r.MemoryLimit = m.Total, m.Available, m.Limit
	for _, isa := range kernel.Available() {
		r.KernelsAvailable = append(r.KernelsAvailable, isa.String())
	}
	return r
}

// findData checks the files of every data set that are on this machine.
func findData(ctx context.Context, o data.Options) []foundData {
	var all []foundData
	for _, s := range data.Names() {
		o.Size = 1 // of a data set that is drawn, one image tells as much as all
		found := foundData{Name: s.Name}
		r, err := data.Check(ctx, s.Name, o)
		if err != nil {
			found.Problem = oneLine(err.Error())
			all = append(all, found)
			continue
		}
		found.OK = r.OK
		for _, f := range r.Files {
			if f.Path != "" && found.Where == "" {
				found.Where = filepath.Dir(f.Path)
			}
			if f.Problem != "" && found.Problem == "" {
				found.Problem = f.File + " " + f.Problem
			}
		}
		all = append(all, found)
	}
	return all
}

// write prints the result for people.
func (r *doctorResult) write(w io.Writer) error {
	t := report.NewTable(report.Column{}, report.Column{})
	t.Row("residual", fmt.Sprintf("%s, %s %s/%s", r.Version, r.Go, r.OS, r.Arch))
	t.Row("CPU", r.CPU)
	var has, lacks []string
	for _, f := range r.Features {
		if f.Has {
			has = append(has, f.Name)
		} else {
			lacks = append(lacks, f.Name)
		}
	}
	t.Row("features", listed(has))
	if len(lacks) > 0 {
		t.Row("not there", listed(lacks))
	}
	t.Row("kernels", fmt.Sprintf("%s; available: %s", r.Kernels, strings.Join(r.KernelsAvailable, ", ")))
	t.Row("cores", fmt.Sprintf("%d, of which %d are used (GOMAXPROCS)", r.Cores, r.Threads))
	t.Row("memory", r.memoryText())
	for _, c := range r.Caches {
		t.Row(fmt.Sprintf("cache L%d", c.Level), fmt.Sprintf("%s, %s, shared by CPUs %s", report.Bytes(c.Bytes), c.Kind, c.SharedBy))
	}
	precision := r.Precision + " is what auto chooses"
	if r.Training != r.Precision {
		precision += fmt.Sprintf(" for inference, %s for training", r.Training)
	}
	if len(r.Devices) > 1 {
		precision += fmt.Sprintf(" on the CPU, %v on a GPU", cuda.Preferred)
	}
	t.Row("precision", precision)
	t.Row("devices", strings.Join(r.Devices, ", ")+"; "+r.GPU)
	for _, d := range r.Data {
		t.Row("data "+d.Name, d.text())
	}
	if err := t.Write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	p := report.NewTable(report.Column{Title: "what computes"}, report.Column{Title: "fp32"}, report.Column{Title: "bf16"}, report.Column{Title: "int8"})
	for _, path := range r.Paths {
		p.Row(path.Op, path.FP32, cmp.Or(path.BF16, "not used"), cmp.Or(path.INT8, "not used"))
	}
	return p.Write(w)
}

func (r *doctorResult) memoryText() string {
	if r.MemoryBytes == 0 {
		return "this system does not tell"
	}
	text := report.Bytes(r.MemoryBytes)
	if r.AvailableBytes > 0 {
		text += ", " + report.Bytes(r.AvailableBytes) + " available"
	}
	if r.MemoryLimit > 0 {
		text += ", limited to " + report.Bytes(r.MemoryLimit)
	}
	return text
}

func (d foundData) text() string {
	switch {
	case d.OK && d.Where != "":
		return "ok, in " + d.Where
	case d.OK:
		return "ok, drawn by the program"
	case d.Where != "":
		return "not good, in " + d.Where + ": " + d.Problem
	}
	return d.Problem
}

func listed(words []string) string {
	if len(words) == 0 {
		return "none that the kernels could use"
	}
	return strings.Join(words, ", ")
}

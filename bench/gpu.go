package main

import "slices"

// gpuSetting is a setting of PyTorch on a GPU, with its name in -torch.
type gpuSetting struct {
	name string
	contender
	infer bool // for inference only
}

// gpuSettings are tried in this order; the setting that compiles longest comes last.
var gpuSettings = []gpuSetting{
	{name: "eager", contender: contender{Program: torch, Precision: "bf16", Layout: "channels_last"}},
	{name: "captured", contender: contender{Program: torch, Precision: "bf16", Layout: "channels_last", Capture: true}},
	{name: "weights-captured", contender: contender{Program: torch, Precision: "bf16-weights", Layout: "channels_last", Capture: true}, infer: true},
	{name: "reduce-overhead", contender: contender{Program: torch, Precision: "bf16", Layout: "channels_last", Compile: true, CompileMode: "reduce-overhead"}},
	{name: "compiled-captured", contender: contender{Program: torch, Precision: "bf16", Layout: "channels_last", Compile: true, Capture: true}},
	{name: "max-autotune", contender: contender{Program: torch, Precision: "bf16", Layout: "channels_last", Compile: true, CompileMode: "max-autotune"}},
}

func gpuSettingNames() (names []string) {
	for _, g := range gpuSettings {
		names = append(names, g.name)
	}
	return names
}

// torchSettings returns the settings of -torch for a mode.
func (s *settings) torchSettings(mode string) (list []contender) {
	for _, g := range gpuSettings {
		if slices.Contains(s.torchOnGPU, g.name) && (!g.infer || mode == "infer") {
			list = append(list, g.contender)
		}
	}
	return list
}

// gpuRows are the lines of the table for a GPU. The batch of a step stays on the device; the
// recipe trains on all of Fashion-MNIST, from start to end.
func (s *settings) gpuRows(p peer, work func(mode string, batch int) job) []row {
	if p.program != torch {
		return nil
	}
	ours := contender{Program: residual, Precision: "auto", Feed: feedNone}
	on := func(mode string) job {
		j := work(mode, 256)
		j.Warmup, j.Repeat = max(s.warmup, 10), s.repeat // compiled code records its CUDA graphs in some of the first steps
		return j
	}
	short := func(mode string) job { j := on(mode); j.Repeat = min(j.Repeat, 3); return j }
	whole := slices.DeleteFunc(s.torchSettings("train"), func(c contender) bool { return c.Capture }) // torch_recipe.py captures no CUDA graphs
	list := []row{
		{id: "gpu-train-256", title: "training on a GPU, batch 256", unit: perSecond, job: on("train"), ours: ours, rivals: s.torchSettings("train"), trials: short("train")},
		{id: "gpu-infer-256", title: "inference on a GPU, batch 256", unit: perSecond, job: on("infer"), ours: ours, rivals: s.torchSettings("infer"), trials: short("infer")},
		{id: "gpu-recipe", title: "the recipe of ten epochs on a GPU", unit: seconds, ours: contender{Program: residual, Precision: "auto"}, rivals: whole,
			trials: short("train"), job: job{Mode: "epoch", Epochs: 10, Batch: 256, Size: s.size, Train: 60000, Test: 10000}},
	}
	for i := range list {
		list[i].finalists = 1
	}
	return slices.DeleteFunc(list, func(r row) bool { return len(r.rivals) == 0 })
}

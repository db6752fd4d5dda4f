package main

import (
	"cmp"
	"fmt"
	"slices"
)

// These are the settings of PyTorch. Trials of all of them find the best one.
var (
	fp32Settings = []contender{
		{Program: torch, Precision: "fp32", Layout: "contiguous"},
		{Program: torch, Precision: "fp32", Layout: "channels_last"},
		{Program: torch, Precision: "fp32", Layout: "channels_last", Compile: true},
	}
	bf16Settings = []contender{
		{Program: torch, Precision: "bf16", Layout: "contiguous"},
		{Program: torch, Precision: "bf16", Layout: "channels_last"},
		{Program: torch, Precision: "bf16", Layout: "channels_last", Compile: true},
	}
	frozenSettings = []contender{
		{Program: torch, Precision: "fp32", Layout: "frozen"},
		{Program: torch, Precision: "bf16", Layout: "frozen"},
	}
)

// rows are the lines of the table against p, in order.
func (s *settings) rows(p peer) []row {
	auto := contender{Program: residual, Precision: "auto"}
	fp32 := contender{Program: residual, Precision: "fp32"}
	all := slices.Concat(fp32Settings, bf16Settings)
	work := func(mode string, batch int) job {
		return job{Mode: mode, Batch: batch, Size: s.size, Warmup: s.warmup, Repeat: max(min(s.repeat, 3), s.repeat*64/max(batch, 64))}
	}
	other := func(id, title, mode string, n net, batch int, ours contender, rivals []contender) row {
		j := work(mode, batch)
		j.Model, j.Size = n.model, n.size
		if n == resnet50 && batch > 1 { // a step takes seconds
			j.Warmup, j.Repeat = min(j.Warmup, 1), min(j.Repeat, 3)
		}
		title = fmt.Sprintf("%s, batch %d of 3x%dx%d", title, batch, n.size, n.size)
		if batch == 1 {
			return row{id: id, title: title + ", latency", unit: millis, job: j, ours: ours, rivals: rivals}
		}
		return row{id: id, title: title, unit: perSecond, job: j, ours: ours, rivals: rivals}
	}
	big := work("train", 256)
	var list []row
	switch {
	case s.gpu():
		list = s.gpuRows(p, work)
	case p.program == torch:
		list = []row{
			{id: "train-64", title: "training, batch 64", unit: perSecond, job: work("train", 64), ours: auto, rivals: all},
			{id: "train-256", title: "training, batch 256", unit: perSecond, job: big, ours: auto, rivals: all,
				memoryID: "memory-256", memory: "peak memory of training, batch 256"},
			{id: "train-64-fp32", title: "training in fp32, batch 64", unit: perSecond, job: work("train", 64), ours: fp32, rivals: fp32Settings},
			{id: "infer-64", title: "inference, batch 64", unit: perSecond, job: work("infer", 64), ours: auto, rivals: slices.Concat(all, frozenSettings)},
			other("train-resnet50", "training of resnet50", "train", resnet50, 16, auto, all),
			other("infer-resnet50", "inference of resnet50", "infer", resnet50, 16, auto, slices.Concat(all, frozenSettings)),
			other("train-cifar56", "training of cifar-resnet56", "train", cifar56, 128, auto, all),
			other("infer-cifar56", "inference of cifar-resnet56", "infer", cifar56, 128, auto, slices.Concat(all, frozenSettings)),
			other("train-resnet9", "training of resnet9-32", "train", resnet9, 64, auto, all),
			{id: "decode", title: "JPEG photos of 500x375 decoded, cropped and resized to 224x224, one core, beside torchvision with Pillow", unit: perSecond,
				job:  job{Mode: "load", Batch: 16, Size: 224, Warmup: s.warmup, Repeat: s.repeat},
				ours: contender{Program: residual, Precision: "uint8"}, rivals: []contender{{Program: torch, Precision: "uint8"}}},
			{id: "load-resnet50", title: "resnet50 from a file of weights, beside torchvision's built, torch.load and load_state_dict: share of the time", unit: startTime,
				job:  job{Mode: "weights", Model: resnet50.model, Batch: 1, Warmup: min(s.warmup, 2), Repeat: s.repeat},
				ours: contender{Program: residual, Precision: "fp32"}, rivals: []contender{{Program: torch, Precision: "fp32"}}},
			{id: "start-predict", title: "the classes of one photo by resnet50, the whole command from start to end: share of the time", unit: startTime,
				job:  job{Mode: "predict", Model: resnet50.model, Batch: 1},
				ours: auto, rivals: []contender{{Program: torch, Precision: "fp32"}}},
			{id: "epoch", title: "one epoch of the train command", unit: seconds, ours: auto, rivals: all, trials: shortened(work("train", 64)), finalists: 1,
				job: job{Mode: "epoch", Batch: 256, Size: s.size, Train: s.epochImages, Test: max(s.epochImages/6, 1)}},
		}
	case p.program == onnx, p.program == openvino:
		list = s.exportedRows(p, work, other)
	default:
		list = []row{{id: "loader", title: "training fed by the loader, batch 64", unit: perSecond, job: work("train", 64), ours: contender{Program: residual, Precision: "auto", Feed: "loader"},
			rivals: []contender{auto}},
			{id: "photos", title: "training of resnet18 fed JPEG photos, batch 16 of 3x224x224", unit: perSecond,
				job:  job{Mode: "train", Model: "resnet18", Batch: 16, Size: 224, Warmup: min(s.warmup, 1), Repeat: min(s.repeat, 3)},
				ours: contender{Program: residual, Precision: "auto", Feed: "photos"}, rivals: []contender{auto}}}
	}
	for i := range list {
		r := &list[i]
		if r.trials == (job{}) {
			r.trials = shortened(r.job)
		}
		if r.finalists == 0 {
			r.finalists = 2
		}
	}
	return slices.DeleteFunc(list, func(r row) bool {
		return slices.Contains(s.skip, r.id) || len(s.only) > 0 && !slices.Contains(s.only, r.id)
	})
}

// shortened returns the job of a trial.
func shortened(j job) job {
	j.Warmup, j.Repeat = min(j.Warmup, 1), 2
	return j
}

// everyRow lists all possible rows in the order of the document.
func everyRow() (list []row) {
	for _, program := range []string{torch, openvino, onnx, ""} {
		list = append(list, (&settings{repeat: 1}).rows(peer{program: program})...)
	}
	slices.SortStableFunc(list, func(a, b row) int { return cmp.Compare(a.group(), b.group()) })
	all := &settings{repeat: 1, device: cuda, torchOnGPU: gpuSettingNames()}
	return append(list, all.rows(peer{program: torch})...)
}

// group orders the rows by what they measure: training, inference, then everything else.
func (r row) group() int {
	switch r.job.Mode {
	case "train":
		return 0
	case "infer":
		return 1
	}
	return 2
}

// rank is the position of a record in the document, given by its row in the table.
func rank(id string) int {
	rows := everyRow()
	for i, r := range rows {
		switch id {
		case r.id:
			return 2 * i
		case r.memoryID:
			return 2*i + 1
		}
	}
	return 2 * len(rows)
}

// rowNames lists the names that -rows accepts.
func rowNames() []string {
	var names []string
	for _, r := range everyRow() {
		if !slices.Contains(names, r.id) { // a row may have several peers
			names = append(names, r.id)
		}
	}
	return names
}

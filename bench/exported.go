package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// notes is the model of a job that names none.
const notes = "d2l-resnet18"

// exported returns the command line of a program that computes an exported network, without
// the flags that all programs share.
func (m *machine) exported(c contender, j job) []string {
	script := "onnx_resnet.py"
	if c.Program == openvino {
		script = "openvino_resnet.py"
	}
	args := []string{m.python, filepath.Join(m.scripts, script), "--size", strconv.Itoa(j.Size)}
	switch {
	case c.Form != "":
		args = append(args, "--file", m.quantised(c, j))
	case c.Program == openvino:
		args = append(args, "--precision", c.Precision)
	}
	if c.Streams > 0 {
		args = append(args, "--streams", strconv.Itoa(c.Streams))
	}
	if c.Split {
		args = append(args, "--split")
	}
	return args
}

// quantised returns the path of the network of a job in int8.
func (m *machine) quantised(c contender, j job) string {
	return filepath.Join(m.models, fmt.Sprintf("%s-%d-%s.onnx", cmp.Or(j.Model, notes), j.Size, c.Form))
}

// quantising returns the arguments of onnx_quantize.py that make such a file.
func quantising(file string, c contender, j job) []string {
	return []string{file, "--model", cmp.Or(j.Model, notes), "--size", strconv.Itoa(j.Size), "--form", c.Form}
}

// quantise lets ONNX Runtime quantise the network of a job, once per run of the benchmark.
func (m *machine) quantise(ctx context.Context, c contender, j job) error {
	if c.Form == "" {
		return nil
	}
	file := m.quantised(c, j)
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	args := append([]string{filepath.Join(m.scripts, "onnx_quantize.py")}, quantising(file, c, j)...)
	if out, err := exec.CommandContext(ctx, m.quant, args...).CombinedOutput(); err != nil {
		return &failure{m.quant + " " + args[0], err, string(out)}
	}
	return nil
}

// exportedSettings are the settings of a program that computes exported networks. OpenVINO
// may share the threads out over several requests where an image alone does not wait.
func (s *settings) exportedSettings(p peer, batch int, precisions ...string) (list []contender) {
	for _, precision := range precisions {
		switch {
		case p.program == onnx && precision == "int8":
			list = append(list, contender{Program: onnx, Precision: precision, Form: "qdq"}, contender{Program: onnx, Precision: precision, Form: "qoperator"})
		case p.program == onnx && precision == "fp32":
			list = append(list, contender{Program: onnx, Precision: precision})
		case p.program == openvino:
			c := contender{Program: openvino, Precision: precision}
			if precision == "int8" {
				c.Form = "qdq"
			}
			list = append(list, c)
			if c.Streams = s.threads; c.Streams > 1 && batch > 1 {
				list = append(list, c)
				if c.Split = true; batch%c.Streams == 0 {
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// exportedRows are the lines of the table against a program that computes exported
// networks.
func (s *settings) exportedRows(p peer, work func(mode string, batch int) job,
	other func(id, title, mode string, n net, batch int, ours contender, rivals []contender) row) []row {
	in := func(precision string) contender { return contender{Program: residual, Precision: precision} }
	best := func(batch int) []contender { return s.exportedSettings(p, batch, "fp32", "bf16") }
	fp32 := func(batch int) []contender { return s.exportedSettings(p, batch, "fp32") }
	int8 := func(batch int) []contender { return s.exportedSettings(p, batch, "int8") }
	return []row{
		{id: "infer-64", title: "inference, batch 64", unit: perSecond, job: work("infer", 64), ours: in("auto"), rivals: best(64)},
		{id: "infer-1", title: "inference, batch 1, latency", unit: millis, job: work("infer", 1), ours: in("auto"), rivals: best(1)},
		other("infer-resnet18-1", "inference of resnet18", "infer", resnet18, 1, in("auto"), best(1)),
		other("infer-resnet50-1", "inference of resnet50", "infer", resnet50, 1, in("auto"), best(1)),
		other("infer-resnet50", "inference of resnet50", "infer", resnet50, 16, in("auto"), best(16)),
		other("infer-cifar56", "inference of cifar-resnet56", "infer", cifar56, 128, in("auto"), best(128)),
		{id: "infer-64-fp32", title: "inference in fp32, batch 64", unit: perSecond, job: work("infer", 64), ours: in("fp32"), rivals: fp32(64)},
		{id: "infer-1-fp32", title: "inference in fp32, batch 1, latency", unit: millis, job: work("infer", 1), ours: in("fp32"), rivals: fp32(1)},
		{id: "int8-64", title: "inference in int8, batch 64", unit: perSecond, job: work("infer", 64), ours: in("int8"), rivals: int8(64)},
		{id: "int8-1", title: "inference in int8, batch 1, latency", unit: millis, job: work("infer", 1), ours: in("int8"), rivals: int8(1)},
		other("int8-resnet18-1", "inference of resnet18 in int8", "infer", resnet18, 1, in("int8"), int8(1)),
		other("int8-resnet50-1", "inference of resnet50 in int8", "infer", resnet50, 1, in("int8"), int8(1)),
		other("int8-resnet50", "inference of resnet50 in int8", "infer", resnet50, 16, in("int8"), int8(16)),
	}
}

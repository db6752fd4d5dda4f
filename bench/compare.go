package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/residual-ml/residual/report"
)

// comparison is the result of all rounds.
type comparison struct {
	CPU       string      `json:"cpu"`
	Threads   int         `json:"threads"`
	Go        string      `json:"go"` // version that Residual was built with
	Torch     string      `json:"torch"`
	Kernels   string      `json:"kernels"` // instruction set of Residual's kernels
	Precision string      `json:"precision"`
	Batch     int         `json:"batch"`
	Size      int         `json:"size"`
	Rounds    int         `json:"rounds"`
	Speed     []speedRow  `json:"speed"`
	Memory    []memoryRow `json:"memory"`
}

// speedRow is the result of one contender in one mode.
type speedRow struct {
	Mode    string    `json:"mode"`
	Name    string    `json:"name"`
	Turns   []float64 `json:"turns"`             // images per second, in the order of the rounds
	Rate    spread    `json:"images_per_second"` // summary over the rounds
	Ratio   *spread   `json:"ratio,omitempty"`   // Residual's rate over this one's, round by round
	perTurn []turn
}

// memoryRow is the peak resident memory of one contender in training.
type memoryRow struct {
	Name  string  `json:"name"`
	Batch int     `json:"batch"`
	Bytes int64   `json:"peak_rss_bytes"`
	Ratio float64 `json:"ratio,omitempty"` // Residual's bytes over this one's
}

// compare runs all turns.
func (m *machine) compare(ctx context.Context) (*comparison, error) {
	facts, err := m.examine(ctx)
	if err != nil {
		return nil, err
	}
	c := &comparison{CPU: facts.CPU, Threads: m.threads, Go: runtime.Version(), Precision: "fp32",
		Batch: m.batch, Size: m.size, Rounds: m.rounds}
	for _, mode := range m.modes {
		rows, err := m.speed(ctx, mode)
		if err != nil {
			return nil, err
		}
		c.Speed = append(c.Speed, rows...)
		c.Kernels, c.Torch = rows[0].perTurn[0].Kernels, rows[1].perTurn[0].Torch
	}
	if m.memoryBatch > 0 {
		if c.Memory, err = m.memory(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// speed runs Residual and every setting of PyTorch for this mode in turn, in opposite
// order every other round, and computes the ratios round by round.
func (m *machine) speed(ctx context.Context, mode string) ([]speedRow, error) {
	contenders := []contender{{Program: residual, Precision: "fp32"}}
	for _, layout := range m.layouts {
		if layout != "frozen" || mode == "infer" {
			contenders = append(contenders, contender{Program: torch, Precision: "fp32", Layout: layout})
		}
	}
	if len(contenders) == 1 {
		return nil, fmt.Errorf("-layouts names no setting of PyTorch for %s: add channels_last", mode)
	}
	rows := make([]speedRow, len(contenders))
	order := make([]int, len(contenders))
	for i, c := range contenders {
		rows[i] = speedRow{Mode: mode, Name: c.name()}
		order[i] = i
	}
	for range m.rounds {
		for _, i := range order {
			t, err := m.take(ctx, contenders[i], job{Mode: mode, Batch: m.batch, Size: m.size, Warmup: m.warmup, Repeat: m.repeat})
			if err != nil {
				return nil, err
			}
			rows[i].perTurn = append(rows[i].perTurn, t)
			rows[i].Turns = append(rows[i].Turns, t.ImagesPerSecond)
		}
		slices.Reverse(order)
	}
	relate(rows)
	return rows, nil
}

// relate summarises the turns: rows[0] is Residual's, and the others' ratios are computed
// within each round.
func relate(rows []speedRow) {
	for i := range rows {
		rows[i].Rate = spreadOf(rows[i].Turns)
		if i == 0 {
			continue
		}
		ratios := make([]float64, len(rows[i].Turns))
		for r := range ratios {
			ratios[r] = rows[0].Turns[r] / rows[i].Turns[r]
		}
		s := spreadOf(ratios)
		rows[i].Ratio = &s
	}
}

// memory measures the peak of a few training steps in each program, including the program
// and its libraries.
func (m *machine) memory(ctx context.Context) ([]memoryRow, error) {
	var rows []memoryRow
	for _, c := range []contender{{Program: residual, Precision: "fp32"}, {Program: torch, Precision: "fp32", Layout: "channels_last"}} {
		t, err := m.take(ctx, c, job{Mode: "train", Batch: m.memoryBatch, Size: m.size, Warmup: 1, Repeat: 2})
		if err != nil {
			return nil, err
		}
		rows = append(rows, memoryRow{Name: c.name(), Batch: m.memoryBatch, Bytes: t.PeakRSSBytes})
	}
	if rows[1].Bytes > 0 {
		rows[1].Ratio = float64(rows[0].Bytes) / float64(rows[1].Bytes)
	}
	return rows, nil
}

// text formats the comparison for the terminal.
func (c *comparison) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ResNet-18 of the notes, %s, batch %d of 1x%dx%d, %d rounds in turn\n", c.Precision, c.Batch, c.Size, c.Size, c.Rounds)
	fmt.Fprintf(&b, "%s, %d threads; Residual with %s kernels, %s; PyTorch %s\n\n", c.CPU, c.Threads, c.Kernels, c.Go, c.Torch)
	right := report.Right
	speed := report.NewTable(report.Column{Title: "mode"}, report.Column{Title: "program"},
		report.Column{Title: "images/s (range)", Align: right}, report.Column{Title: "Residual is faster by (range)", Align: right})
	for _, r := range c.Speed {
		ratio := ""
		if r.Ratio != nil {
			ratio = r.Ratio.text("%.2f")
		}
		speed.Row(r.Mode, r.Name, r.Rate.text("%.1f"), ratio)
	}
	b.WriteString(speed.String())
	if len(c.Memory) == 0 {
		return b.String()
	}
	memory := report.NewTable(report.Column{Title: "training, batch " + fmt.Sprint(c.Memory[0].Batch)},
		report.Column{Title: "peak resident memory", Align: right}, report.Column{Title: "Residual takes", Align: right})
	for _, r := range c.Memory {
		size, ratio := "not told here", ""
		if r.Bytes > 0 {
			size = report.Bytes(r.Bytes)
		}
		if r.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f of it", r.Ratio)
		}
		memory.Row(r.Name, size, ratio)
	}
	return b.String() + "\n" + memory.String()
}

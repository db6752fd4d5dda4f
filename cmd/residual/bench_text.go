package main

import (
	"fmt"
	"strings"

	"github.com/residual-ml/residual/engine/roofline"
	"github.com/residual-ml/residual/measure"
	"github.com/residual-ml/residual/report"
)

// benchText writes a result for people, in at most width columns; 0 stands for any width.
func benchText(r *measure.Result, width int) string {
	var b strings.Builder
	by := r.Kernels
	if r.Threads > 0 {
		by = fmt.Sprintf("%s, %s kernels", plural(r.Threads, "thread"), r.Kernels)
	}
	fmt.Fprintf(&b, "%s, %s, batch %d of %dx%dx%d, on %s, %s, %s%s\n\n",
		r.Model, r.Mode, r.Batch, r.Channels, r.Height, r.Width, r.Device, by, r.Precision, recomputing(r.Recompute))
	t := report.NewTable(report.Column{}, report.Column{Align: report.Right}, report.Column{})
	if len(r.Measurements) > 0 {
		speedRows(t, r)
	}
	workRows(t, r.Work, r.StepMilliseconds)
	t.Row("planned memory", report.Bytes(r.PlannedBytes), fmt.Sprintf("activations %s, scratch %s, weights %s, inputs and the rest %s",
		report.Bytes(r.ArenaBytes), report.Bytes(r.ScratchBytes), report.Bytes(r.VariableBytes), report.Bytes(r.OwnBytes)))
	if r.PeakRSSBytes > 0 {
		t.Row("peak resident memory", report.Bytes(r.PeakRSSBytes), "of the whole program")
	}
	if len(r.Measurements) > 0 {
		t.Row("allocations a step", fmt.Sprintf("%.4g", r.AllocationsPerStep), "")
	}
	b.WriteString(t.Fit(width))
	if len(r.Profile) > 0 {
		b.WriteString("\n" + profileText(r.Profile, width))
	}
	if len(r.Steps) > 0 {
		b.WriteString("\n" + stepsText(r.Steps, width))
	}
	return b.String()
}

// speedRows adds the rows of measured speeds.
func speedRows(t *report.Table, r *measure.Result) {
	t.Row("images/s", rate(r.ImagesPerSecond), fmt.Sprintf("median of %d, from %s to %s", r.Repeat, rate(r.ImagesPerSecondMin), rate(r.ImagesPerSecondMax)))
	fed := "fed by the loader from " + r.Data
	switch r.Feed {
	case measure.FeedMemory:
		fed = "feeding included"
	case measure.FeedNone:
		fed = "the batch stays on the device"
	}
	t.Row("time of a step", fmt.Sprintf("%.3f ms", r.StepMilliseconds), fed)
	if r.LoaderImagesPerSecond > 0 {
		t.Row("loader alone", rate(r.LoaderImagesPerSecond)+" images/s", "on one core")
	}
	t.Row("arithmetic", report.SI(r.GFLOPPerSecond*1e9, "FLOP/s"), fmt.Sprintf("%.3f GFLOP an image, counted as plain sums", r.GFLOPPerImage))
	if r.PeakGFLOPPerSecond > 0 {
		t.Row("peak beside it", report.SI(r.PeakGFLOPPerSecond*1e9, "FLOP/s"), fmt.Sprintf("%s before, %s after",
			report.SI(r.PeakBefore*1e9, "FLOP/s"), report.SI(r.PeakAfter*1e9, "FLOP/s")))
		t.Row("share of peak", fmt.Sprintf("%.1f %%", 100*r.FractionOfPeak), "over 100 % where an algorithm multiplies less than the sums do")
	}
}

// recomputing ends the description of a run that computes activations again.
func recomputing(on bool) string {
	if on {
		return ", activations computed again"
	}
	return ""
}

// workRows adds the operations and bytes of a step. step is its measured time in milliseconds,
// or 0 if nothing was measured.
func workRows(t *report.Table, r roofline.Work, step float64) {
	t.Row("work of a step", report.SI(1e9*r.GFLOPPerStep, "FLOP"), report.Bytes(r.BytesPerStep)+" to move: what the program's steps read and write, each once")
	if r.Milliseconds == nil {
		return
	}
	by := "as given"
	if r.Peaks.Measured {
		by = "measured through this program's own 1x1 convolution and ReLU"
	}
	t.Row("floor of a step", fmt.Sprintf("%.3f ms", *r.Milliseconds), fmt.Sprintf("step by step, at %s and %.4g GB/s, %s",
		report.SI(1e9*r.Peaks.GFLOPPerSecond, "FLOP/s"), r.Peaks.GBPerSecond, by))
	if step > 0 {
		t.Row("share of the floor", fmt.Sprintf("%.1f %%", 100**r.Milliseconds/step), "the floor's part of the time of a step")
	}
}

// figure writes a number, or an empty cell for 0.
func figure(format string, v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}

// profileText writes the table of the kinds of steps.
func profileText(rows []roofline.Kind, width int) string {
	t := report.NewTable(report.Column{Title: "kind of step"}, right("steps"), right("ms"), right("share"), right("GFLOP"), right("MB"), right("floor ms"))
	all := roofline.Kind{Kind: "all"}
	for _, r := range rows {
		t.Row(r.Kind, fmt.Sprint(r.Steps), figure("%.3f", r.Milliseconds), figure("%.1f %%", 100*r.Share), figure("%.2f", r.GFLOP), megabytes(r.Bytes), figure("%.3f", r.Floor))
		all.Steps += r.Steps
		all.Milliseconds += r.Milliseconds
		all.GFLOP += r.GFLOP
		all.Bytes += r.Bytes
		all.Floor += r.Floor
	}
	t.Rule()
	t.Row(all.Kind, fmt.Sprint(all.Steps), figure("%.3f", all.Milliseconds), "", figure("%.2f", all.GFLOP), megabytes(all.Bytes), figure("%.3f", all.Floor))
	return t.Fit(width)
}

func megabytes(n int64) string { return fmt.Sprintf("%.2f", float64(n)/1e6) }

// stepsText writes the table of all steps in their order. Rates are medians.
func stepsText(rows []roofline.Step, width int) string {
	t := report.NewTable(report.Column{Title: "step"}, report.Column{Title: "what"}, right("ms"), right("least"), right("floor ms"),
		right("MB"), right("GB/s"), right("GFLOP/s"), right("weights GB/s"))
	all := roofline.Step{Kind: "all"}
	for _, r := range rows {
		var moved, speed, stream float64
		if r.Milliseconds > 0 {
			moved, speed, stream = float64(r.Bytes)/r.Milliseconds*1e-6, r.GFLOP/r.Milliseconds*1e3, float64(r.WeightBytes)/r.Milliseconds*1e-6
		}
		t.Row(r.Kind, r.What, figure("%.3f", r.Milliseconds), figure("%.3f", r.Least), figure("%.3f", r.Floor),
			megabytes(r.Bytes), figure("%.1f", moved), figure("%.1f", speed), figure("%.1f", stream))
		all.Milliseconds += r.Milliseconds
		all.Least += r.Least
		all.Floor += r.Floor
		all.Bytes += r.Bytes
	}
	t.Rule()
	t.Row(all.Kind, "", figure("%.3f", all.Milliseconds), figure("%.3f", all.Least), figure("%.3f", all.Floor), megabytes(all.Bytes), "", "", "")
	return t.Fit(width)
}

// photosText writes the result of --mode load for people.
func photosText(r *measure.PhotosResult, width int) string {
	t := report.NewTable(report.Column{}, report.Column{Align: report.Right}, report.Column{})
	t.Row("images/s", rate(r.ImagesPerSecond), fmt.Sprintf("median of %d, from %s to %s", len(r.Measurements), rate(r.ImagesPerSecondMin), rate(r.ImagesPerSecondMax)))
	return fmt.Sprintf("%s photos, decoded, cut at random, resized to %dx%d, mirrored at random and normalised, on one core\n\n%s",
		report.Count(int64(r.Photos)), r.Size, r.Size, t.Fit(width))
}

// weightsText writes the result of --mode weights for people.
func weightsText(r *measure.WeightsResult, width int) string {
	t := report.NewTable(report.Column{}, report.Column{Align: report.Right}, report.Column{})
	t.Row("time", fmt.Sprintf("%.1f ms", r.Median), fmt.Sprintf("median of %d, from %.1f to %.1f", r.Repeat, r.Min, r.Max))
	t.Row("the first time", fmt.Sprintf("%.1f ms", r.First), "into new memory")
	return fmt.Sprintf("%s from %s of weights in the system's cache to a net, %s\n\n%s", r.Model, report.Bytes(r.Bytes), plural(r.Threads, "thread"), t.Fit(width))
}

package report

import (
	"strconv"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/residual-ml/residual/internal/number"
)

// stepLine is the plain line for the latest batch.
func (p *Progress) stepLine() string {
	s := p.batch
	batch := "batch " + strconv.Itoa(s.Batch)
	if n := p.o.BatchesPerEpoch; n > 0 {
		batch = "batch " + of(s.Batch, n) + " (" + strconv.Itoa(100*s.Batch/n) + "%)"
	}
	parts := append([]string{p.epochName(s.Epoch), batch}, scores(s)...)
	epoch, run, ok := p.pace.left(p.o.Now())
	if ok {
		parts = append(parts, "left "+wholeSeconds(epoch))
		if p.o.Epochs > s.Epoch {
			parts = append(parts, "run "+wholeSeconds(run))
		}
	}
	return strings.Join(parts, "  ")
}

// epochLine is the line for an epoch, the same on a terminal and elsewhere.
func (p *Progress) epochLine(e EpochInfo) string {
	parts := []string{p.epochName(e.Epoch), "loss " + score(e.TrainLoss)}
	if number.Finite(e.TrainAcc) {
		parts = append(parts, "train acc "+score(e.TrainAcc))
	}
	if number.Finite(e.TestAcc) {
		parts = append(parts, "test acc "+score(e.TestAcc))
	}
	parts = append(parts, e.More...)
	if e.ImagesPerSecond > 0 && number.Finite(e.ImagesPerSecond) {
		parts = append(parts, rate(e.ImagesPerSecond))
	}
	if e.Elapsed > 0 {
		parts = append(parts, Duration(e.Elapsed))
	}
	return strings.Join(parts, "  ")
}

func (p *Progress) epochName(epoch int) string {
	if p.o.Epochs <= 0 {
		return "epoch " + strconv.Itoa(epoch)
	}
	// A budget may make the training longer than was announced.
	return "epoch " + of(epoch, max(epoch, p.o.Epochs))
}

// scores returns the known numbers of a batch as text.
func scores(s BatchInfo) []string {
	out := []string{"loss " + score(s.Loss)}
	if number.Finite(s.Acc) {
		out = append(out, "acc "+score(s.Acc))
	}
	if s.ImagesPerSecond > 0 && number.Finite(s.ImagesPerSecond) {
		out = append(out, rate(s.ImagesPerSecond))
	}
	return out
}

// bar is the live line for the latest batch in at most width columns. Where there is
// little room it drops, in this order: the time left of the run, the bar, images per
// second, the time left of the epoch, the batch. The epoch and the loss always stay.
func (p *Progress) bar(width int) string {
	s, total := p.batch, p.o.BatchesPerEpoch
	numbers := scores(s)
	loss, others := numbers[0], numbers[1:]
	var speed string
	if n := len(others); n > 0 && strings.HasSuffix(others[n-1], "images/s") {
		speed, others = others[n-1], others[:n-1]
	}
	batch := strconv.Itoa(s.Batch)
	if total > 0 {
		batch = of(s.Batch, total)
	}
	left, run := p.timeLeft()

	const bar = "\x00" // a placeholder
	first := p.epochName(s.Epoch)
	head := append([]string{loss}, others...)
	for _, line := range [][]string{
		join(first, bar, batch, head, speed, left, run),
		join(first, bar, batch, head, speed, left),
		join(first, batch, head, speed, left),
		join(first, batch, head, left),
		join(first, batch, head),
		join(first, head),
		join(first, loss),
	} {
		text := strings.Join(line, "  ")
		place := strings.Index(text, bar)
		if place >= 0 && total <= 0 {
			continue
		}
		free := width - len(strings.Replace(text, bar, "", 1))
		if place >= 0 && free >= 8 {
			return strings.Replace(text, bar, fill(min(free, 32), s.Batch, total, p.color), 1)
		}
		if place < 0 && free >= 0 {
			return text
		}
	}
	return clip(first, width)
}

// timeLeft returns the times left of the epoch and of the run, or what the run is
// waiting for.
func (p *Progress) timeLeft() (left, run string) {
	if p.closed {
		return "", ""
	}
	epoch, all, ok := p.pace.left(p.o.Now())
	switch {
	case p.testing:
		left = "testing"
	case ok && p.pace.epoch == p.batch.Epoch:
		left = "left " + wholeSeconds(epoch)
	}
	if ok && p.o.Epochs > p.batch.Epoch {
		run = "run " + wholeSeconds(all)
	}
	return left, run
}

// join flattens strings and lists of strings, and drops the empty ones.
func join(parts ...any) []string {
	var out []string
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			if p != "" {
				out = append(out, p)
			}
		case []string:
			out = append(out, p...)
		}
	}
	return out
}

// fill is a bar of the given width.
func fill(width, done, total int, color bool) string {
	style := mpb.BarStyle().Padding(" ")
	if color {
		green := func(s string) string { return "\x1b[32m" + s + "\x1b[0m" }
		style = style.FillerMeta(green).TipMeta(green)
	}
	done = max(0, min(done, total))
	var b strings.Builder
	// A strings.Builder does not fail, so neither does Fill.
	_ = style.Build().Fill(&b, decor.Statistics{
		AvailableWidth: width,
		Total:          int64(total),
		Current:        int64(done),
		Completed:      done == total,
	})
	return b.String()
}

// of formats "  3/10" with the same width for every n up to total.
func of(n, total int) string {
	t := strconv.Itoa(total)
	return pad(strconv.Itoa(n), len(t), Right) + "/" + t
}

// wholeSeconds formats a remaining time without tenths of a second, which would flicker.
func wholeSeconds(d time.Duration) string {
	if s := d.Round(time.Second); s < 10*time.Second {
		return strconv.Itoa(int(s/time.Second)) + "s"
	}
	return Duration(d)
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/report"
)

// write saves the ledger and renders it to path.
func (l *ledger) write(path string) error {
	if err := l.save(); err != nil {
		return err
	}
	return checkpoint.WriteFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, l.document())
		return err
	})
}

const preface = `# Benchmarks

` + "`go run ./bench`" + ` writes this file from the measurements in benchmarks.json; do not edit it.
[bench/README.md](../bench/README.md) says what is measured and how to repeat it.

The network is ResNet-18 of the notes (11,178,378 parameters) on 1x96x96 images unless a row says otherwise, on all cores. In a
row the programs take turns, in opposite order every other round; a ratio is computed within a round, and the table
gives the median and the range. For speed and latency the ratio is how many times faster Residual is; for memory and for the
time before the work begins it is Residual's fraction of the other's. The other program runs in its fastest setting, found by trying each on the same work.
`

// document formats the ledger as Markdown.
func (l *ledger) document() string {
	var b strings.Builder
	b.WriteString(preface)
	for _, f := range l.Machines {
		l.machineText(&b, f)
	}
	l.accuracyText(&b)
	return b.String()
}

func (l *ledger) machineText(b *strings.Builder, f facts) {
	var rows, fed []record
	for _, r := range l.Records {
		switch {
		case r.Machine != f.key():
		case r.Peer == "":
			fed = append(fed, r)
		default:
			rows = append(rows, r)
		}
	}
	if len(rows)+len(fed) == 0 {
		return
	}
	slices.SortStableFunc(rows, func(a, b record) int { return cmp.Compare(rank(a.Row), rank(b.Row)) })
	fmt.Fprintf(b, "\n## %s\n\n", f.key())
	fmt.Fprintf(b, "%s with %s of memory; features: %s. Residual %s, built with %s.\n",
		f.System, report.Bytes(f.Memory), cmp.Or(strings.Join(f.Has, ", "), "none"), cmp.Or(f.Revision, f.Version), f.Go)
	if len(rows) > 0 {
		b.WriteString("\n### Beside the fastest of the others\n\nEvery row against the program that was fastest at it, in its fastest setting.\n\n" + bestTable(bestRows(rows, f), f))
		b.WriteString("\n### Beside each of them\n\n" + ratioTable(rows, f))
	}
	l.trialText(b, f)
	if len(fed) > 0 {
		b.WriteString("\n### The data path\n\nA training step with its batch ready in memory, beside one fed by the loader, which opens, resizes and scales\nthe images while the previous step runs. A ratio of 1 says that the loader is not the limit.\n\n" + loaderTable(fed, f))
	}
	b.WriteString("\n### Commands of the turns\n\n```\n")
	for _, command := range commands(append(rows, fed...)) {
		b.WriteString(command + "\n")
	}
	b.WriteString("```\n")
}

// bestRows keeps, of the records of a row, the one against the peer that does best. Records
// of an earlier build count only where this build has none.
func bestRows(rows []record, f facts) (best []record) {
	for _, r := range rows {
		i := slices.IndexFunc(best, func(b record) bool { return b.Row == r.Row })
		switch {
		case i < 0:
			best = append(best, r)
		case (r.Build == f.Build) != (best[i].Build == f.Build):
			if r.Build == f.Build {
				best[i] = r
			}
		case r.Unit.worse(r.Ratio.Median, best[i].Ratio.Median):
			best[i] = r
		}
	}
	return best
}

func bestTable(rows []record, f facts) string {
	t := newMarkdown("work", "Residual", "the fastest other", "ratio", "range", "Residual computed in", "the other")
	for _, r := range rows {
		best := r.Rivals[0]
		t.row(r.work(), r.Unit.text(r.Ours.Value.Median), r.Unit.text(best.Value.Median),
			fmt.Sprintf("**%.2f**", r.Ratio.Median), fmt.Sprintf("%.2f to %.2f", r.Ratio.Min, r.Ratio.Max),
			r.Ours.setting(), r.Peer+", "+best.Contender.setting())
	}
	return t.String()
}

// ratioTable compares Residual with the best setting of each peer.
func ratioTable(rows []record, f facts) string {
	t := newMarkdown("work", "against", "Residual", "the other", "ratio", "range", "Residual computed in", "the other's setting", "rounds", "date")
	for _, r := range rows {
		best := r.Rivals[0]
		t.row(r.work(), r.Peer, r.Unit.text(r.Ours.Value.Median), r.Unit.text(best.Value.Median),
			fmt.Sprintf("**%.2f**", r.Ratio.Median), fmt.Sprintf("%.2f to %.2f", r.Ratio.Min, r.Ratio.Max),
			r.Ours.setting(), best.Contender.setting(), fmt.Sprint(r.Rounds), r.when(f))
	}
	return t.String()
}

// work describes what a record measured.
func (r record) work() string {
	if r.Job.Mode != "epoch" {
		return r.Title
	}
	return fmt.Sprintf("%s: %s training and %s test images of Fashion-MNIST, evaluation included",
		r.Title, report.Count(int64(r.Job.Train)), report.Count(int64(r.Job.Test)))
}

// when is the date, with a note if the program has changed since.
func (r record) when(f facts) string {
	if r.Build != f.Build {
		return r.Date + ", an earlier build"
	}
	return r.Date
}

// setting is the precision, and the kernels of Residual, that a side used.
func (s side) setting() string {
	text := s.Precision
	if s.Contender.Precision == "auto" {
		text = "auto: " + s.Precision
	}
	if s.Kernels != "" {
		text += ", " + s.Kernels
	}
	return text
}

// trialText shows how the settings of the peers were chosen.
func (l *ledger) trialText(b *strings.Builder, f facts) {
	t, any := newMarkdown("work", "program", "setting", "images/s"), false
	for _, one := range l.Trials {
		if one.Machine != f.key() {
			continue
		}
		any = true
		found := one.Problem
		if found == "" {
			found = perSecond.text(one.Rate)
		}
		t.row(one.Job.what(), one.Peer, one.Contender.setting(), found)
	}
	if any {
		b.WriteString("\n### Settings tried\n\nThe faster of two measurements each; the best took full turns.\n\n" + t.String())
	}
}

func loaderTable(rows []record, f facts) string {
	t := newMarkdown("work", "fed by the loader", "from memory", "ratio", "range", "the loader alone, one core", "Residual computed in", "rounds", "date")
	for _, r := range rows {
		t.row(r.Title, r.Unit.text(r.Ours.Value.Median), r.Unit.text(r.Rivals[0].Value.Median), fmt.Sprintf("**%.2f**", r.Ratio.Median),
			fmt.Sprintf("%.2f to %.2f", r.Ratio.Min, r.Ratio.Max), perSecond.text(r.LoaderRate), r.Ours.setting(), fmt.Sprint(r.Rounds), r.when(f))
	}
	return t.String()
}

// commands lists the command lines of the turns without duplicates.
func commands(rows []record) []string {
	var list []string
	for _, r := range rows {
		for _, s := range append([]side{r.Ours}, r.Rivals...) {
			if c := s.Contender; c.Form != "" {
				file := filepath.Base((&machine{}).quantised(c, r.Job))
				if made := "python3 bench/onnx_quantize.py " + strings.Join(quantising(file, c, r.Job), " "); !slices.Contains(list, made) {
					list = append(list, made)
				}
			}
			if !slices.Contains(list, s.Command) {
				list = append(list, s.Command)
			}
		}
	}
	return list
}

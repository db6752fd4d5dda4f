package main

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/report"
)

// readRun reads a run folder of residual train.
func readRun(dir string) (runOver, error) {
	var s struct {
		Model, Data, Precision string
		Seed                   uint64
		Batch, Epochs, Threads int
		LR                     float64
		TrainSize              int    `yaml:"train_size"`
		TestSize               int    `yaml:"test_size"`
		Version                string `yaml:"residual_version"`
	}
	path := filepath.Join(dir, "settings.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return runOver{}, fmt.Errorf("-run %s is not a run folder: %w", dir, err)
	}
	if err := yaml.Unmarshal(text, &s); err != nil {
		return runOver{}, fmt.Errorf("%s: %w", path, err)
	}
	r := runOver{Program: strings.TrimSpace(residual + " " + s.Version), Model: s.Model, Data: s.Data, Precision: s.Precision, Seed: s.Seed,
		Batch: s.Batch, Rate: s.LR, Epochs: s.Epochs, TrainSize: s.TrainSize, TestSize: s.TestSize, Threads: s.Threads}
	type row struct {
		Epoch    float64
		Loss     checkpoint.Number  `json:"train_loss"`
		TrainAcc checkpoint.Number  `json:"train_acc"`
		TestAcc  *checkpoint.Number `json:"test_acc"` // of the last row of an epoch alone
		Rate     float64            `json:"images_per_second"`
		Seconds  float64
	}
	rows, err := checkpoint.MetricsRows(&checkpoint.Run{Dir: dir}, row{})
	for _, m := range rows {
		if m.TestAcc != nil {
			r.Ends = append(r.Ends, end{int(math.Round(m.Epoch)), m.Loss, m.TrainAcc, *m.TestAcc, m.Rate, m.Seconds})
		}
	}
	return r, r.whole(dir, err)
}

// readRecipe reads what torch_recipe.py printed.
func readRecipe(path string) (runOver, error) {
	type row struct {
		Epoch             int
		Loss              checkpoint.Number
		TrainAcc          checkpoint.Number `json:"train_acc"`
		TestAcc           checkpoint.Number `json:"test_acc"`
		Rate              float64           `json:"images_per_second_with_loading"`
		Seconds           float64
		Threads, Batch    int
		Torch             string
		Precision, Layout string
		Compile           bool
		Seed              uint64
		LR                float64
		TrainSize         int `json:"train_size"`
		TestSize          int `json:"test_size"`
	}
	r := runOver{Model: "d2l-resnet18", Data: fashion}
	rows, err := checkpoint.ReadRows(path, row{})
	total := 0.0
	for i, m := range rows {
		if m.Torch == "" || m.Seconds <= 0 {
			return r, fmt.Errorf("%s: result %d has no torch or no seconds: it is not what torch_recipe.py prints", path, i+1)
		}
		total += m.Seconds
		c := contender{Program: torch, Precision: m.Precision, Layout: m.Layout, Compile: m.Compile}
		r.Program, r.Precision, r.Setting = torch+" "+m.Torch, m.Precision, c.setting()
		r.Seed, r.Batch, r.Rate, r.Threads, r.Epochs = m.Seed, m.Batch, m.LR, m.Threads, m.Epoch
		if m.TrainSize < 60000 || m.TestSize < 10000 {
			r.TrainSize, r.TestSize = m.TrainSize, m.TestSize
		}
		r.Ends = append(r.Ends, end{m.Epoch, m.Loss, m.TrainAcc, m.TestAcc, m.Rate, total})
	}
	return r, r.whole(path, err)
}

func (r *runOver) whole(path string, err error) error {
	if err == nil && len(r.Ends) == 0 {
		return fmt.Errorf("%s: no epoch is over yet", path)
	}
	return err
}

// like reports whether r replaces o as a repetition of the same training.
func (r runOver) like(o runOver) bool {
	program := func(r runOver) string {
		if strings.HasPrefix(r.Program, residual) { // a new version of Residual replaces the old one
			return residual
		}
		return r.Program
	}
	key := func(r runOver) runOver {
		return runOver{Program: program(r), Model: r.Model, Data: r.Data, Precision: r.Precision, Setting: r.Setting, Seed: r.Seed,
			Batch: r.Batch, Rate: r.Rate, Epochs: r.Epochs, TrainSize: r.TrainSize, TestSize: r.TestSize}
	}
	a, b := key(r), key(o)
	return fmt.Sprint(a) == fmt.Sprint(b)
}

func (l *ledger) putRun(r runOver) { l.Runs = put(l.Runs, r, runOver.like) }

// The book's own result for the recipe is in the Chinese edition's PyTorch tab,
// section 7.6 (8.6 in English, where the numbers appear only in a checkpoint.Number).
const published = `"Dive into Deep Learning" prints for this recipe in PyTorch (ten epochs, batch 256, learning rate 0.05, 96x96, on a GPU;
[section "Residual Networks", Chinese edition](https://zh.d2l.ai/chapter_convolutional-modern/resnet.html)): "loss 0.012, train acc 0.997, test acc 0.893",
"5032.7 examples/sec on cuda:0".
`

// accuracyText shows the recorded runs.
func (l *ledger) accuracyText(b *strings.Builder) {
	if len(l.Runs) == 0 {
		return
	}
	b.WriteString("\n## Accuracy of whole runs\n\nLoss and training accuracy are means over the last epoch; test accuracy jumps from epoch to epoch with this recipe.\n\n" + published + "\n")
	t := newMarkdown("program", "model and data", "computed in", "seed", "epochs", "loss", "train acc", "test acc", "best test acc", "time", "images/s", "note")
	for _, r := range l.Runs {
		last := r.Ends[len(r.Ends)-1]
		t.row(r.Program, r.subject(), cmp.Or(r.Setting, r.Precision), fmt.Sprint(r.Seed), r.progress(), threeDecimals(last.Loss), threeDecimals(last.TrainAccuracy),
			threeDecimals(last.TestAccuracy), r.best(), minutes(last.Seconds), fmt.Sprintf("%.1f", last.ImagesPerSecond), r.Note)
	}
	b.WriteString(t.String())
	l.seedText(b)
	b.WriteString("\n### Epoch by epoch\n\nLoss, train accuracy, test accuracy.\n\n" + l.epochTable())
}

func threeDecimals(v checkpoint.Number) string { return strconv.FormatFloat(float64(v), 'f', 3, 64) }

// minutes formats a time as 12 min 05 s.
func minutes(s float64) string {
	n := int(math.Round(s))
	return fmt.Sprintf("%d min %02d s", n/60, n%60)
}

func (r runOver) subject() string {
	text := fmt.Sprintf("%s, %s, batch %d, lr %g", r.Model, r.Data, r.Batch, r.Rate)
	if r.TrainSize > 0 || r.TestSize > 0 {
		text += fmt.Sprintf(", %s train and %s test images", countOrAll(r.TrainSize), countOrAll(r.TestSize))
	}
	return text
}

func countOrAll(n int) string {
	if n == 0 {
		return "all"
	}
	return report.Count(int64(n))
}

func (r runOver) progress() string {
	if len(r.Ends) == r.Epochs {
		return fmt.Sprint(r.Epochs)
	}
	return fmt.Sprintf("%d of %d", len(r.Ends), r.Epochs)
}

func (r runOver) best() string {
	best := r.Ends[0]
	for _, e := range r.Ends {
		if e.TestAccuracy > best.TestAccuracy {
			best = e
		}
	}
	return fmt.Sprintf("%s (epoch %d)", threeDecimals(best.TestAccuracy), best.Epoch)
}

// seedText shows runs that differ only by their seed side by side.
func (l *ledger) seedText(b *strings.Builder) {
	type group struct {
		first                   runOver
		loss, trainAcc, testAcc []float64
		seeds                   []string
	}
	var groups []*group
	for _, r := range l.Runs {
		seedless := r
		seedless.Seed = 0
		var g *group
		for _, old := range groups {
			if old.first.like(seedless) && len(old.first.Ends) == len(r.Ends) {
				g = old
			}
		}
		if g == nil {
			g = &group{first: seedless}
			groups = append(groups, g)
		}
		last := r.Ends[len(r.Ends)-1]
		g.seeds = append(g.seeds, fmt.Sprint(r.Seed))
		g.loss, g.trainAcc, g.testAcc = append(g.loss, float64(last.Loss)), append(g.trainAcc, float64(last.TrainAccuracy)), append(g.testAcc, float64(last.TestAccuracy))
	}
	t, any := newMarkdown("program", "model and data", "computed in", "epochs", "seeds", "loss (range)", "train acc (range)", "test acc (range)"), false
	for _, g := range groups {
		if len(g.seeds) < 2 {
			continue
		}
		any = true
		r := g.first
		t.row(r.Program, r.subject(), cmp.Or(r.Setting, r.Precision), r.progress(), strings.Join(g.seeds, ", "),
			spreadOf(g.loss).text("%.3f"), spreadOf(g.trainAcc).text("%.3f"), spreadOf(g.testAcc).text("%.3f"))
	}
	if any {
		b.WriteString("\n### Over the seeds\n\nThe middle of runs that differ by the seed alone, after their last epoch.\n\n" + t.String())
	}
}

// epochTable has a column for every run.
func (l *ledger) epochTable() string {
	titles, most := []string{"epoch"}, 0
	for _, r := range l.Runs {
		titles = append(titles, fmt.Sprintf("%s, %s, seed %d", r.Program, cmp.Or(r.Setting, r.Precision), r.Seed))
		most = max(most, len(r.Ends))
	}
	t := newMarkdown(titles...)
	for i := range most {
		cells := []string{fmt.Sprint(i + 1)}
		for _, r := range l.Runs {
			cell := ""
			if i < len(r.Ends) {
				e := r.Ends[i]
				cell = fmt.Sprintf("%s, %s, %s", threeDecimals(e.Loss), threeDecimals(e.TrainAccuracy), threeDecimals(e.TestAccuracy))
			}
			cells = append(cells, cell)
		}
		t.row(cells...)
	}
	return t.String()
}

package study

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train"
)

// GrowthConfig trains a net that grows on a schedule: the epochs are divided over the
// steps of the growth, and each step starts with the function that the previous one
// ended with. Each step is a training of its own, whose learning rate follows the
// schedule from its start and whose momentum starts at zero.
type GrowthConfig struct {
	Steps     [][]int      `yaml:"steps,flow" json:"steps"`      // blocks in each stage of the net, for every step of the growth
	Compare   bool         `yaml:"compare" json:"compare"`       // also train the deepest net from the start, for equal multiply-adds
	CheckSize int          `yaml:"check_size" json:"check_size"` // number of test images on which each growth is checked; 0: 256
	Train     train.Config `yaml:"train" json:"train"`           // Epochs is the sum over all steps
}

// layers lists the usual depths by their blocks per stage, for basic blocks and bottlenecks.
var layers = map[bool]map[int][]int{
	false: {10: {1, 1, 1, 1}, 18: {2, 2, 2, 2}, 26: {3, 3, 3, 3}, 34: {3, 4, 6, 3}},
	true:  {14: {1, 1, 1, 1}, 26: {2, 2, 2, 2}, 38: {3, 3, 3, 3}, 50: {3, 4, 6, 3}, 101: {3, 4, 23, 3}, 152: {3, 8, 36, 3}},
}

// ParseSteps parses the steps of a growth. A step is a depth as in ResNet-18, -26, -34,
// or the number of blocks in each stage, separated by dashes: 2-2-2-2.
func ParseSteps(model string, words []string) (steps [][]int, err error) {
	e, err := models.Lookup(model)
	if err != nil {
		return nil, err
	}
	for _, word := range words {
		var blocks []int
		for part := range strings.SplitSeq(word, "-") {
			n, err := strconv.Atoi(part)
			if err != nil || n < 1 {
				return nil, field.Errorf("{GrowthConfig.Steps}: %q is no depth, such as 18, and no blocks, such as 2-2-2-2", word)
			}
			blocks = append(blocks, n)
		}
		if len(blocks) == 1 {
			if blocks, err = ofDepth(e, blocks[0]); err != nil {
				return nil, err
			}
		}
		steps = append(steps, blocks)
	}
	return steps, nil
}

// ofDepth returns the blocks of a net with the given number of layers.
func ofDepth(e models.Entry, depth int) ([]int, error) {
	if strings.HasPrefix(e.Name, "cifar-") {
		if n := (depth - 2) / 6; n > 0 && 6*n+2 == depth {
			return []int{n, n, n}, nil
		}
		return nil, field.Errorf("{GrowthConfig.Steps}: %s of %d layers: a depth is 6n+2 for n blocks in each of three stages", e.Name, depth)
	}
	net, ok := e.New(models.Config{}).(models.Net)
	if !ok {
		return nil, field.Errorf("{GrowthConfig.Steps}: %s has no residual blocks that could be added; choose a residual net", e.Name)
	}
	bottleneck := false
	switch net.Stages()[0].Blocks[0].(type) {
	case *models.Bottleneck, *models.PreActBottleneck:
		bottleneck = true
	}
	known := layers[bottleneck]
	if blocks, ok := known[depth]; ok {
		return blocks, nil
	}
	var have []int
	for d := range known {
		have = append(have, d)
	}
	slices.Sort(have)
	return nil, field.Errorf("{GrowthConfig.Steps}: %s of %d layers is not known; give one of %s, or the blocks of each stage, such as 2-2-2-2", e.Name, depth, commas(have))
}

// Check returns an error for the first invalid setting.
func (c GrowthConfig) Check() error {
	t := c.Train.Resolved()
	e, err := models.Lookup(t.Model)
	if err != nil {
		return err
	}
	if e.Kind == models.Plain || len(e.Blocks) == 0 {
		return field.Errorf("{GrowthConfig.Steps}: %s has no residual blocks that could be added; choose a residual net", e.Name)
	}
	if of := task.Task(t.Task).Named(); of != task.Classes {
		return field.Errorf("{GrowthConfig.Steps}: a growth is measured by the accuracy of classes, and the training is of %s ({Task})", of)
	}
	if len(c.Steps) < 2 {
		return field.Errorf("{GrowthConfig.Steps}: give at least two depths, such as 18,26,34")
	}
	if t.Epochs < len(c.Steps) {
		return field.Errorf("{Epochs} %d: a growth in %d steps wants at least one epoch for each", t.Epochs, len(c.Steps))
	}
	for i, blocks := range c.Steps {
		t.Blocks = blocks
		if err := t.Check(); err != nil {
			return field.Errorf("{GrowthConfig.Steps}: %w", err)
		}
		if i > 0 {
			if _, err := grown(c.Steps[i-1], blocks); err != nil {
				return field.Errorf("{GrowthConfig.Steps}: %w", err)
			}
		}
	}
	return nil
}

// epochs returns the number of epochs of step i: all steps get the same number, and
// the last ones get one more where the epochs do not divide evenly.
func (c GrowthConfig) epochs(i int) int {
	n, all := len(c.Steps), c.Train.Epochs
	if i >= n-all%n {
		return all/n + 1
	}
	return all / n
}

// trained returns the number of images that an epoch trains on, of so many.
func (c GrowthConfig) trained(images int) int64 { return int64(images) * int64(max(c.Train.Repeat, 1)) }

// GrowthRow is the result of one training of a growth.
type GrowthRow struct {
	Training     string  `json:"training"`
	Blocks       []int   `json:"blocks"`
	Parameters   int64   `json:"parameters"`
	MultiplyAdds int64   `json:"multiply_adds"` // of the forward pass of one image
	Compute      int64   `json:"compute"`       // MultiplyAdds times images and epochs
	TrainError   Value   `json:"train_error"`   // at the end of the training
	TestError    Value   `json:"test_error"`
	Checked      int     `json:"checked"` // images on which its first outputs equalled the last ones of the previous step, bit by bit
	Epochs       []Epoch `json:"epochs"`
}

// GrowthResult is the result of a growth.
type GrowthResult struct {
	Dir      string       `json:"dir"`
	Config   GrowthConfig `json:"settings"`
	Model    string       `json:"model"` // file of the net that has grown
	Best     string       `json:"best"`  // file of the best epoch of its last step
	Rows     []GrowthRow  `json:"table"`
	Findings []string     `json:"findings"`
}

// Growth is a growth on a schedule in its folder.
type Growth struct {
	Dir    string
	Config GrowthConfig
	folder *checkpoint.Run
	fresh  bool // nothing has been done in the folder yet
}

// NewGrowth creates a growth in a numbered folder under c.Train.Out.
func NewGrowth(dev engine.Device, c GrowthConfig) (*Growth, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c.Train = c.Train.Resolved()
	if c.CheckSize == 0 {
		c.CheckSize = 256
	}
	p, err := engine.ParsePrecision(c.Train.Precision, dev, engine.Training)
	if err != nil {
		return nil, err
	}
	c.Train.Precision = p.String()
	folder, err := newFolder(c.Train.Out, "study-grow", c)
	if err != nil {
		return nil, err
	}
	return &Growth{folder.Dir, c, folder, true}, nil
}

// OpenGrowth opens an existing growth to resume it.
func OpenGrowth(dir string) (*Growth, error) {
	folder, c, err := openFolder[GrowthConfig](dir, "study-grow")
	if err != nil {
		return nil, err
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", folder.Path("settings.yaml"), err)
	}
	return &Growth{folder.Dir, c, folder, false}, nil
}

// Run trains what has not been trained yet, each step in a run folder of its own, and
// writes table.csv, epochs.csv, table.json, grow.png and grow.svg. It calls onTraining
// before each training. When ctx ends it returns ctx's error, and a later Run of the
// folder continues from the last complete epoch.
func (g *Growth) Run(ctx context.Context, dev engine.Device, onTraining func(row GrowthRow, epochs int), cb train.Callbacks) (GrowthResult, error) {
	r := GrowthResult{Dir: g.Dir, Config: g.Config}
	images, err := g.images(ctx, cb)
	if err != nil && g.fresh && ctx.Err() == nil {
		discard(g.folder)
	}
	g.fresh = false
	if err != nil {
		return r, err
	}
	var spent int64
	last := ""
	for i, blocks := range g.Config.Steps {
		row := GrowthRow{Training: "step-" + strconv.Itoa(i+1), Blocks: blocks}
		c := g.Config.Train
		c.Blocks, c.Epochs, c.Out = blocks, g.Config.epochs(i), g.Dir
		if i > 0 {
			c.Weights = g.folder.Path(fmt.Sprintf("grown-%d.safetensors", i+1))
			if row.Checked, err = g.grow(ctx, dev, last, c.Weights, blocks); err != nil {
				return r, err
			}
		}
		if last, err = g.train(ctx, dev, &r, row, c, images, onTraining, cb); err != nil {
			return r, err
		}
		spent += r.Rows[i].Compute
	}
	r.Model, r.Best = last, filepath.Join(filepath.Dir(last), train.BestFile)
	if g.Config.Compare {
		deep := r.Rows[len(r.Rows)-1]
		c := g.Config.Train
		c.Blocks, c.Out = deep.Blocks, g.Dir
		c.Epochs = max(1, int(math.Round(float64(spent)/float64(deep.MultiplyAdds*g.Config.trained(images)))))
		if _, err := g.train(ctx, dev, &r, GrowthRow{Training: "from-the-start", Blocks: deep.Blocks}, c, images, onTraining, cb); err != nil {
			return r, err
		}
		end := r.Rows[len(r.Rows)-1]
		r.Findings = []string{fmt.Sprintf("grown to %s: test error %s after %.4g multiply-adds; the same net from the start: %s after %.4g",
			commas(deep.Blocks), percent(deep.TestError), float64(spent), percent(end.TestError), float64(end.Compute))}
	}
	return r, g.write(r)
}

// images counts the training images of an epoch.
func (g *Growth) images(ctx context.Context, cb train.Callbacks) (int, error) {
	images, _, err := train.Open(ctx, g.Config.Train, cb.OnData)
	if err != nil {
		return 0, err
	}
	return images.Len(), nil
}

// grow writes the deeper net with which the next step starts, after checking it.
func (g *Growth) grow(ctx context.Context, dev engine.Device, model, to string, blocks []int) (int, error) {
	t := g.Config.Train
	s := Source{Model: model, Data: t.Data, TestSize: g.Config.CheckSize, Precision: t.Precision, DataDir: t.DataDir, Offline: t.Offline, MaxPixels: t.MaxPixels}
	o, err := s.open(ctx, dev, engine.Training, nil)
	if err != nil {
		return 0, err
	}
	from, err := grown(blocksOf(o.net), blocks)
	if err != nil {
		return 0, err
	}
	about := o.classifier.Info()
	net, err := rebuilt(about, o.net, from, t.Seed)
	if err != nil {
		return 0, err
	}
	n, err := sameBits(ctx, dev, o, net)
	if err != nil {
		return 0, err
	}
	return n, checkpoint.SaveModel(to, changed(about, net), nn.StateDict(net))
}

// train trains a step, adds its row to r, and returns the file of its net.
func (g *Growth) train(ctx context.Context, dev engine.Device, r *GrowthResult, row GrowthRow, c train.Config, images int, onTraining func(GrowthRow, int), cb train.Callbacks) (string, error) {
	dir := g.folder.Path(row.Training)
	if done, err := ended(dir); err != nil {
		return "", err
	} else if !done && onTraining != nil {
		onTraining(row, c.Epochs)
	}
	if err := trainIn(ctx, dev, dir, c, cb); err != nil {
		return "", err
	}
	file := g.folder.Path(row.Training + "/" + train.LastFile)
	s := Source{Model: file, Data: c.Data, TestSize: 1, Precision: c.Precision, DataDir: c.DataDir, Offline: c.Offline, MaxPixels: c.MaxPixels}
	o, err := s.open(ctx, dev, engine.Training, nil)
	if err != nil {
		return "", err
	}
	t, err := nn.Summary(o.net, o.oneImage())
	if err != nil {
		return "", err
	}
	row.Parameters, row.MultiplyAdds = t.Params, t.MACs
	row.Compute = t.MACs * g.Config.trained(images) * int64(c.Epochs)
	if row.Epochs, err = epochsOf(dir); err != nil {
		return "", err
	}
	if n := len(row.Epochs); n > 0 {
		row.TrainError, row.TestError = row.Epochs[n-1].TrainError, row.Epochs[n-1].TestError
	}
	r.Rows = append(r.Rows, row)
	return file, nil
}

func (g *Growth) write(r GrowthResult) error {
	var rows, epochs [][]any
	for _, w := range r.Rows {
		rows = append(rows, []any{w.Training, commas(w.Blocks), w.Parameters, w.MultiplyAdds, len(w.Epochs), w.Compute, w.TrainError, w.TestError, w.Checked})
		for _, e := range w.Epochs {
			epochs = append(epochs, []any{w.Training, e.Epoch, e.TrainLoss, e.TrainError, e.TestLoss, e.TestError})
		}
	}
	if err := writeCSV(g.folder.Path("table.csv"),
		[]string{"training", "blocks", "parameters", "multiply_adds", "epochs", "compute", "train_error", "test_error", "checked"}, rows); err != nil {
		return err
	}
	if err := writeCSV(g.folder.Path("epochs.csv"), []string{"training", "epoch", "train_loss", "train_error", "test_loss", "test_error"}, epochs); err != nil {
		return err
	}
	if err := writeJSON(g.folder.Path("table.json"), r); err != nil {
		return err
	}
	return writeFigure(g.folder, "grow", r.Figure())
}

// Figure shows both errors against the multiply-adds spent.
func (r GrowthResult) Figure() report.Figure {
	panel := func(title string, of func(Epoch) Value) report.Panel {
		p := report.Panel{Title: title, X: "multiply-adds spent (billions, forward)", Y: "error (%)"}
		at := 0.0
		grownLine := report.Line{Name: "grown", Color: 1, Marks: true}
		start := report.Line{Name: "from the start", Color: 0, Marks: true}
		for _, w := range r.Rows {
			step := float64(w.Compute) / float64(max(1, len(w.Epochs))) / 1e9
			for i, e := range w.Epochs {
				y := 100 * float64(of(e))
				if w.Training == "from-the-start" {
					start.Points = append(start.Points, report.Point{X: step * float64(i+1), Y: y})
					continue
				}
				at += step
				grownLine.Points = append(grownLine.Points, report.Point{X: at, Y: y})
			}
		}
		p.Lines = []report.Line{grownLine}
		if len(start.Points) > 0 {
			p.Lines = append(p.Lines, start)
		}
		for i := 0; i <= 4; i++ {
			x := at * float64(i) / 4
			p.Ticks = append(p.Ticks, report.Tick{Value: x, Label: fmt.Sprintf("%.3g", x)})
		}
		return p
	}
	return report.Figure{Rows: [][]report.Panel{{
		panel("training error", func(e Epoch) Value { return e.TrainError }), panel("test error", func(e Epoch) Value { return e.TestError }),
	}}}
}

package study

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train"
)

// GrowConfig deepens a trained net without changing its function: new blocks, whose
// last layer is zero, are added at the end of their stages (the identity mappings of He
// et al. 2015, section 1, with the zero initialisation of Goyal et al. 2017).
type GrowConfig struct {
	Source `yaml:",inline"`
	Blocks []int        `yaml:"blocks,flow" json:"blocks"` // blocks in each stage, at least as many as there are
	Train  train.Config `yaml:"train" json:"train"`        // training that follows where Epochs is above 0; the study sets its Model, Blocks, Data and From, and the optimiser starts from zero state
	Seed   uint64       `yaml:"seed" json:"seed"`          // seed of the new blocks' first layers
	Out    string       `yaml:"out" json:"out"`
}

// ChangedRow measures a net in one state, before or after a change.
type ChangedRow struct {
	State           string `json:"state"`
	Blocks          []int  `json:"blocks"`
	Parameters      int64  `json:"parameters"`
	MultiplyAdds    int64  `json:"multiply_adds"` // per image
	Loss            Value  `json:"loss"`          // on the test images
	Accuracy        Value  `json:"accuracy"`
	ImagesPerSecond Value  `json:"images_per_second,omitzero"` // measured by Prune only
}

// ChangedResult is the result of Grow and Prune.
type ChangedResult struct {
	Dir     string       `json:"dir"`
	Model   string       `json:"model"` // the resulting model file
	Checked int          `json:"checked,omitempty"`
	Removed []string     `json:"removed,omitempty"` // removed blocks, in the order of removal
	Rows    []ChangedRow `json:"table"`
	Epochs  []Epoch      `json:"epochs"` // epochs of the training that followed
}

// Grow is a growth in its folder.
type Grow struct {
	Dir    string
	Config GrowConfig
	folder *checkpoint.Run
	source *opened
	from   [][]int
}

// NewGrow checks c and creates a numbered folder under c.Out.
func NewGrow(ctx context.Context, dev engine.Device, c GrowConfig, cb train.Callbacks) (*Grow, error) {
	o, err := c.Source.open(ctx, dev, engine.Training, cb.OnData)
	if err != nil {
		return nil, err
	}
	from, err := grown(blocksOf(o.net), c.Blocks)
	if err != nil {
		return nil, field.Errorf("{Blocks}: %w", err)
	}
	if err := o.checkTraining(&c.Train, c.Blocks); err != nil {
		return nil, err
	}
	folder, err := newFolder(c.Out, "grow", c)
	if err != nil {
		return nil, err
	}
	return &Grow{folder.Dir, c, folder, o, from}, o.keepRecord(folder)
}

// OpenGrow opens an existing growth to resume it.
func OpenGrow(ctx context.Context, dev engine.Device, dir string, change func(*Source), cb train.Callbacks) (*Grow, error) {
	folder, c, err := openFolder[GrowConfig](dir, "grow")
	if err != nil {
		return nil, err
	}
	change(&c.Source)
	o, err := c.Source.open(ctx, dev, engine.Training, cb.OnData)
	if err != nil {
		return nil, err
	}
	from, err := grown(blocksOf(o.net), c.Blocks)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder.Path("settings.yaml"), err)
	}
	return &Grow{folder.Dir, c, folder, o, from}, nil
}

// checkTraining completes the settings of a training that follows a change: batches
// of 128, a rate that falls from 0.01 along a cosine, momentum 0.9.
func (o *opened) checkTraining(c *train.Config, blocks []int) error {
	if c.Epochs == 0 {
		return nil
	}
	about := o.classifier.Info()
	c.Model, c.Blocks, c.Data, c.Precision = about.Architecture, blocks, o.Data, o.Source.Precision
	c.Batch, c.LR, c.Momentum = cmp.Or(c.Batch, 128), cmp.Or(c.LR, 0.01), cmp.Or(c.Momentum, 0.9)
	c.Schedule = cmp.Or(c.Schedule, "cosine")
	c.Resize = cmp.Or(c.Resize, about.Height)
	c.DataDir, c.Offline, c.TestSize = o.DataDir, o.Offline, o.TestSize
	c.Holdout, c.HoldoutSeed, c.MaxPixels = o.Holdout, o.HoldoutSeed, o.MaxPixels
	*c = c.Resolved()
	return c.Check()
}

// Run builds the deeper net and checks, on the test images and in both precisions, that
// its outputs equal those of the original bit by bit. It writes the net as
// grown.safetensors and, if epochs were requested, trains it. If the outputs differ, Run
// returns an error and writes nothing.
func (g *Grow) Run(ctx context.Context, dev engine.Device, cb train.Callbacks) (ChangedResult, error) {
	r := ChangedResult{Dir: g.Dir, Model: g.folder.Path("grown.safetensors")}
	about := g.source.classifier.Info()
	net, err := rebuilt(about, g.source.net, g.from, g.Config.Seed)
	if err != nil {
		return r, err
	}
	if r.Checked, err = sameBits(ctx, dev, g.source, net); err != nil {
		return r, err
	}
	info := changed(about, net)
	if err := checkpoint.SaveModel(r.Model, info, nn.StateDict(net)); err != nil {
		return r, err
	}
	before, err := g.source.row(ctx, "before", g.source.classifier)
	if err != nil {
		return r, err
	}
	after, err := g.source.row(ctx, "grown", g.source.classifier.Replaced(net, info))
	if err != nil {
		return r, err
	}
	r.Rows = []ChangedRow{before, after}
	return r, g.source.trainOn(ctx, dev, g.folder, g.Config.Train, cb, &r, "grow")
}

// trainOn trains the net of r.Model where c has epochs, adds the outcome to r,
// and writes the table and the figure of r.
func (o *opened) trainOn(ctx context.Context, dev engine.Device, folder *checkpoint.Run, c train.Config, cb train.Callbacks, r *ChangedResult, name string) error {
	if c.Epochs > 0 {
		dir := folder.Path("train")
		c.Weights, c.Out, c.DataDir, c.Offline = r.Model, folder.Dir, o.DataDir, o.Offline
		if err := trainIn(ctx, dev, dir, c, cb); err != nil {
			return err
		}
		trained, err := inference.Load(folder.Path("train/"+train.LastFile), dev, o.precision)
		if err != nil {
			return err
		}
		row, err := o.row(ctx, "trained on", trained)
		if err != nil {
			return err
		}
		row.ImagesPerSecond = r.Rows[len(r.Rows)-1].ImagesPerSecond // the training does not change the net's speed
		r.Rows, r.Model = append(r.Rows, row), folder.Path("train/"+train.LastFile)
		if r.Epochs, err = epochsOf(dir); err != nil {
			return err
		}
	}
	return r.write(folder, name)
}

// sameBits compares the logits of a net with those of the source on the test images,
// bit by bit, in fp32 and in bf16, and returns the number of images.
func sameBits(ctx context.Context, dev engine.Device, o *opened, net nn.Module) (images int, err error) {
	for _, p := range []engine.Precision{engine.FP32, engine.BF16} {
		was := forward.NewRunner(o.net, engine.NewStore(dev), p)
		is := forward.NewRunner(net, engine.NewStore(dev), p)
		l, err := data.NewLoader(o.classifier.Images(o.test), data.LoaderConfig{Batch: o.Batch})
		if err != nil {
			return 0, err
		}
		if images, err = sameLogits(ctx, o.classifier, l, was, is, p); err != nil {
			return 0, err
		}
	}
	return images, nil
}

func sameLogits(ctx context.Context, c *inference.Classifier, l *data.Loader, was, is *forward.Runner, p engine.Precision) (images int, err error) {
	e := l.Epoch(ctx, 0)
	defer e.Close()
	for {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			return images, nil
		}
		if err != nil {
			return 0, err
		}
		c.Scale(b.Images)
		x, err := was.Logits(b.Images)
		if err != nil {
			return 0, err
		}
		y, err := is.Logits(b.Images)
		if err != nil {
			return 0, err
		}
		if i := otherBits(x, y); i >= 0 {
			classes := x.Shape()[1]
			return 0, fmt.Errorf("the grown net is not the same function in %v: image %d gives %v for class %d, and before the growth %v; nothing was written: check that the model's weights are finite (`residual eval`)",
				p, b.Indices[i/classes], y.Data()[i], i%classes, x.Data()[i])
		}
		images += len(b.Indices)
		b.Release()
	}
}

// otherBits returns the first element whose bits differ, or -1.
func otherBits(x, y *tensor.Tensor) int {
	for i, v := range x.Data() {
		if math.Float32bits(v) != math.Float32bits(y.Data()[i]) {
			return i
		}
	}
	return -1
}

// row measures a net on the test images.
func (o *opened) row(ctx context.Context, state string, c *inference.Classifier) (ChangedRow, error) {
	res, err := c.Evaluate(ctx, o.test, data.LoaderConfig{Batch: o.Batch}, nil)
	if err != nil {
		return ChangedRow{}, err
	}
	t, err := nn.Summary(c.Module(), o.oneImage())
	if err != nil {
		return ChangedRow{}, err
	}
	net, err := residualNet(o.Model, c.Info().Architecture, c.Module())
	if err != nil {
		return ChangedRow{}, err
	}
	return ChangedRow{
		State: state, Blocks: blocksOf(net), Parameters: t.Params, MultiplyAdds: t.MACs, Loss: Value(res.Loss), Accuracy: Value(res.Accuracy),
	}, nil
}

// oneImage returns the net's input shape for one image.
func (o *opened) oneImage() tensor.Shape {
	info := o.classifier.Images(o.test).Info()
	return tensor.Shape{1, info.Channels, info.Height, info.Width}
}

// write writes table.csv, table.json and the figure.
func (r *ChangedResult) write(folder *checkpoint.Run, name string) error {
	var rows [][]any
	for _, w := range r.Rows {
		row := []any{w.State, commas(w.Blocks), w.Parameters, w.MultiplyAdds, w.Loss, w.Accuracy}
		if name == "prune" {
			row = append(row, w.ImagesPerSecond)
		}
		rows = append(rows, row)
	}
	head := []string{"state", "blocks", "parameters", "multiply_adds", "loss", "accuracy"}
	if name == "prune" {
		head = append(head, "images_per_second")
	}
	if err := writeCSV(folder.Path("table.csv"), head, rows); err != nil {
		return err
	}
	if err := writeJSON(folder.Path("table.json"), r); err != nil {
		return err
	}
	return writeFigure(folder, name, r.Figure())
}

// Figure shows accuracy and size of each state, and the training that followed.
func (r ChangedResult) Figure() report.Figure {
	accuracy, cost := report.Line{Color: 1, Bars: true}, report.Line{Color: 2, Bars: true}
	var ticks []report.Tick
	for i, w := range r.Rows {
		x := float64(i)
		ticks = append(ticks, report.Tick{Value: x, Label: w.State})
		accuracy.Points = append(accuracy.Points, report.Point{X: x, Y: 100 * float64(w.Accuracy)})
		cost.Points = append(cost.Points, report.Point{X: x, Y: float64(w.MultiplyAdds) / 1e6})
	}
	row := []report.Panel{
		{Title: "test accuracy", Y: "%", Lines: []report.Line{accuracy}, Ticks: ticks, FromZero: true},
		{Title: "multiply-adds of an image", Y: "millions", Lines: []report.Line{cost}, Ticks: ticks, FromZero: true},
	}
	if len(r.Epochs) > 0 {
		training, test := report.Line{Name: "training", Color: 0, Dashed: true}, report.Line{Name: "test", Color: 1, Marks: true}
		start := r.Rows[len(r.Rows)-2]
		test.Points = append(test.Points, report.Point{X: 0, Y: 100 - 100*float64(start.Accuracy)})
		for _, e := range r.Epochs {
			training.Points = append(training.Points, report.Point{X: float64(e.Epoch), Y: 100 * float64(e.TrainError)})
			test.Points = append(test.Points, report.Point{X: float64(e.Epoch), Y: 100 * float64(e.TestError)})
		}
		row = append(row, report.Panel{Title: "the training that followed", X: "epoch", Y: "error (%)", Lines: []report.Line{training, test}})
	}
	return report.Figure{Rows: [][]report.Panel{row}}
}

package train_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train"
)

// lists writes lists of labels and of values for a folder of images: what of a garment is worn
// where, and numbers that depend on its class.
func lists(t *testing.T, dir string) (labels, values string) {
	t.Helper()
	x, err := folder.Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	var l, v strings.Builder
	l.WriteString("path,feet,sleeves\n")
	v.WriteString("path,price,weight\n")
	for _, it := range x.Items {
		class := x.Classes[it.Label]
		feet := slices.Contains([]string{"sandal", "sneaker", "ankle-boot"}, class)
		sleeves := slices.Contains([]string{"pullover", "coat", "shirt", "dress"}, class)
		bit := map[bool]int{true: 1}
		fmt.Fprintf(&l, "%s,%d,%d\n", it.Name, bit[feet], bit[sleeves])
		fmt.Fprintf(&v, "%s,%d,%g\n", it.Name, 1000+100*bit[feet], 0.5+0.25*float64(bit[sleeves]))
	}
	labels, values = filepath.Join(dir, "labels.csv"), filepath.Join(dir, "values.csv")
	for path, text := range map[string]string{labels: l.String(), values: v.String()} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return labels, values
}

// Trainings on lists of labels and values save what they answer, continue with the same bits for
// any number of threads, and choose the best epoch by the metric of their task.
func TestRunOnLists(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 8, Seed: 4})
	labels, values := lists(t, dir)
	for _, c := range []struct {
		list, task string
		names      []string
		columns    string
	}{
		{labels, "labels", []string{"feet", "sleeves"}, "test_loss,test_acc,map,macro_f1,images_per_second,seconds"},
		{values, "values", []string{"price", "weight"}, "test_loss,test_acc,r2,mae,rmse,images_per_second,seconds"},
	} {
		config := quick(t, c.list)
		config.Task, config.Epochs, config.EMA = c.task, 3, 0.9
		var epochs []train.Epoch
		uninterrupted, err := train.Run(context.Background(), device(t, 2), config, train.Callbacks{OnEpoch: func(e train.Epoch) { epochs = append(epochs, e) }})
		if err != nil {
			t.Fatal(err)
		}
		m, f, err := checkpoint.LoadModel(uninterrupted.Best)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if string(m.Task) != c.task || !slices.Equal(m.Names(), c.names) || m.Classes != nil || (m.ValueStd != nil) != (c.task == "values") {
			t.Errorf("the model answers %q with %q, %v", m.Task, m.Names(), m.ValueStd)
		}
		if !math.IsNaN(uninterrupted.Accuracy) || math.IsNaN(uninterrupted.BestScore) || epochs[0].Test == nil || math.IsNaN(epochs[2].Score) {
			t.Errorf("%+v", uninterrupted.Totals)
		}
		if header, _, _ := strings.Cut(read(t, filepath.Join(uninterrupted.Dir, "metrics.csv")), "\n"); !strings.HasSuffix(header, c.columns) {
			t.Errorf("the columns are %s", header)
		}
		stopped := stopAt(t, config, 1, 6)
		resumed := resume(t, stopped.Dir, 1, train.Callbacks{})
		same(t, resumed.Dir, uninterrupted.Dir)
		if resumed.BestEpoch != uninterrupted.BestEpoch || resumed.BestScore != uninterrupted.BestScore {
			t.Errorf("the best epoch is %d (%v), want %d (%v)", resumed.BestEpoch, resumed.BestScore, uninterrupted.BestEpoch, uninterrupted.BestScore)
		}
	}
}

// bright asks how bright images are, in two units.
type bright struct{ data.Dataset }

func (b bright) Unwrap() data.Dataset { return b.Dataset }
func (b bright) Index(i int) int      { return i }
func (b bright) Info() data.Info {
	info := b.Dataset.Info()
	info.Classes, info.Targets = nil, task.Targets{Task: task.Values, Names: []string{"large", "small"}}
	return info
}

func (b bright) Target(i int, out []float32) error {
	pix, sum := make([]uint8, b.Dataset.Info().Numel()), 0.0
	_, err := b.Dataset.Get(i, pix)
	for _, v := range pix {
		sum += float64(v) / 255 / float64(len(pix))
	}
	out[0], out[1] = float32(50_000+1000*sum), float32(-0.01*sum)
	return err
}

// Values are learnt in any unit, since they are standardised; the measures are in their units.
func TestRunOnValues(t *testing.T) {
	var last train.Epoch
	_, err := train.Run(context.Background(), device(t, 2), train.Config{
		Own:   train.Own{TrainSet: bright{garments(t, data.Train, 800)}, TestSet: bright{garments(t, data.Test, 200)}},
		Model: "d2l-bnlenet", Batch: 32, LR: 0.1, Epochs: 5, Schedule: "cosine", Out: t.TempDir(),
	}, train.Callbacks{OnEpoch: func(e train.Epoch) { last = e }})
	if err != nil {
		t.Fatal(err)
	}
	v := last.Test.Values
	if large, small := v.Scores[0], v.Scores[1]; v.R2 < 0.8 || large.MAE < 1 || large.MAE > 100 || math.Abs(small.MAE*1e5/large.MAE-1) > 0.5 || last.Score != v.R2 {
		t.Errorf("%+v", v)
	}
}

func TestTaskErrors(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 2})
	labels, _ := lists(t, dir)
	with := func(change func(*train.Config)) train.Config {
		c := quick(t, labels)
		c.Task = "labels"
		change(&c)
		return c
	}
	for want, c := range map[string]train.Config{
		"Task labels: the data set garments has classes; for labels give a .csv or .jsonl list as Data": with(func(c *train.Config) { c.Data = "garments" }),
		"is no list; give a .csv or .jsonl list":                                                        with(func(c *train.Config) { c.Data = dir }),
		`has no column "hands" (Columns); its other columns are feet, sleeves`:                          with(func(c *train.Config) { c.Columns = "hands" }),
		"Columns feet is for labels and values; say which with Task":                                    with(func(c *train.Config) { c.Task, c.Columns = "", "feet" }),
		"Task boxes is not known; choose one of: classes, labels, values, masks":                        with(func(c *train.Config) { c.Task = "boxes" }),
		"Task label is not known; choose one of: classes, labels, values, masks":                        with(func(c *train.Config) { c.Task, c.Data = "label", "garments" }),
		"Metric accuracy does not measure labels; choose one of: map, macro-f1, loss":                   with(func(c *train.Config) { c.Metric = "accuracy" }),
		"LabelSmoothing 0.1 is for the cross-entropy of classes, and this training has the labels":      with(func(c *train.Config) { c.LabelSmoothing = 0.1 }),
		"the targets of data set labels are labels, which cannot be mixed":                              with(func(c *train.Config) { c.Mixup = 0.2 }),
		"TeacherTemperature and TeacherShare are of a teacher":                                          with(func(c *train.Config) { c.TeacherShare = 0.5 }),
		"Teacher: ": with(func(c *train.Config) { c.Teacher = filepath.Join(dir, "none.safetensors") }),
	} {
		if _, err := train.Run(context.Background(), device(t, 1), c, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// squares is a data set of masks: bright squares on a dark ground.
type squares struct{ from, n int }

func (s squares) Len() int { return s.n }
func (s squares) Info() data.Info {
	return data.Info{Name: "squares", Channels: 1, Height: 16, Width: 16, Targets: task.Targets{Task: task.Masks, Names: []string{"ground", "square"}}}
}
func (s squares) inside(i, p int) bool {
	i += s.from
	y, x := p/16-i%9, p%16-i*5%9
	return y >= 0 && y < 6 && x >= 0 && x < 6
}
func (s squares) Get(i int, pix []uint8) (int, error) {
	for p := range pix {
		pix[p] = uint8(i * p % 50)
		if s.inside(i, p) {
			pix[p] += 120
		}
	}
	return 0, nil
}
func (s squares) Target(i int, out []float32) error {
	for p := range out {
		out[p] = 0
		if s.inside(i, p) {
			out[p] = 1
		}
	}
	return nil
}

// A program's own net and masks are trained with augmentation that moves both, and the model
// knows what it answers.
func TestRunOnMasks(t *testing.T) {
	net := nn.Sequential{nn.NewConv2d(1, 8, 3, nn.Conv{Padding: 1}), nn.ReLU{}, nn.NewConv2d(8, 2, 1)}
	var last train.Epoch
	run, err := train.Run(context.Background(), device(t, 2), train.Config{
		Own:   train.Own{Module: net, TrainSet: squares{0, 200}, TestSet: squares{200, 40}},
		Batch: 20, LR: 0.5, Epochs: 6, Out: t.TempDir(), Init: "kaiming-normal", Preparation: train.Preparation{Augment: "crop"},
	}, train.Callbacks{OnEpoch: func(e train.Epoch) { last = e }})
	if err != nil {
		t.Fatal(err)
	}
	if last.Test.Masks.MeanIoU < 0.9 || last.Score != last.Test.Masks.MeanIoU {
		t.Errorf("mean IoU %v, score %v", last.Test.Masks.MeanIoU, last.Score)
	}
	m, f, err := checkpoint.LoadModel(run.Best)
	if err != nil || m.Task != task.Masks || !slices.Equal(m.Classes, []string{"ground", "square"}) {
		t.Fatal(m, err)
	}
	f.Close()
}

// The loss of a program's own takes the place of the cross-entropy: with the same formula the
// training is the same.
func TestOwnLoss(t *testing.T) {
	config := train.Config{
		Own: train.Own{TrainSet: garments(t, data.Train, 300), TestSet: garments(t, data.Test, 100)}, Model: "d2l-bnlenet", Batch: 50, Epochs: 2, LR: 0.3, Out: t.TempDir(),
	}
	plain, err := train.Run(context.Background(), device(t, 2), config, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	config.Loss = func(outputs, targets *graph.Node) *graph.Node {
		calls++
		return targets.Mul(outputs.LogSoftmax(1)).Sum(1).Mean().Neg()
	}
	own, err := train.Run(context.Background(), device(t, 2), config, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	if calls == 0 || math.Abs(own.Loss-plain.Loss) > 1e-3 || math.Abs(own.TestAccuracy-plain.TestAccuracy) > 0.03 {
		t.Errorf("loss %v and accuracy %v, with the cross-entropy %v and %v", own.Loss, own.TestAccuracy, plain.Loss, plain.TestAccuracy)
	}
	if r, err := train.OpenRun(own.Dir); err != nil || !slices.Contains(r.Config.OwnParts, "Loss nn.Loss") {
		t.Errorf("%v", err)
	}
}

// random gives images labels that say nothing.
type random struct{ data.Dataset }

func (r random) Get(i int, pix []uint8) (int, error) {
	_, err := r.Dataset.Get(i, pix)
	return i * 7 % 10, err
}

// A net that learns from a teacher alone tells the classes apart although the labels of the
// images say nothing of them.
func TestTeacher(t *testing.T) {
	config := train.Config{Data: "garments", Batch: 50, Epochs: 4, TrainSize: 1500, TestSize: 400, Out: t.TempDir(), LR: 0.3}
	teacher, err := train.Run(context.Background(), device(t, 2), config, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	taught := config
	taught.Own = train.Own{TrainSet: random{garments(t, data.Train, 1500)}, TestSet: garments(t, data.Test, 400)}
	taught.Model, taught.Seed, taught.Teacher, taught.TeacherShare, taught.TeacherTemperature = "d2l-bnlenet", 1, teacher.Best, 1, 2
	s, err := train.Run(context.Background(), device(t, 2), taught, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	if s.TestAccuracy < teacher.TestAccuracy-0.1 {
		t.Errorf("the teacher has the accuracy %v, and the taught %v", teacher.TestAccuracy, s.TestAccuracy)
	}
	config.Teacher, config.Model, config.Resize = teacher.Best, "cifar-resnet8", 32
	if _, err := train.Run(context.Background(), device(t, 2), config, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), "takes images of 28x28, and the training's are 32x32") {
		t.Error(err)
	}
}

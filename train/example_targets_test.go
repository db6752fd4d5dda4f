package train_test

import (
	"context"
	"fmt"
	"os"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train"
)

// A loss is a function of outputs and targets: here the focal loss, written out, of a net of
// one's own. Of classes the targets are soft labels, 1 for the class of an image. The same loss
// is nn.FocalLoss{}.Forward.
func Example_focalLoss() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	runs, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(runs)
	net := nn.Sequential{
		nn.NewConv2d(1, 16, 5, nn.Conv{Stride: 2}), nn.NewBatchNorm2d(16), nn.ReLU{}, nn.MaxPool2d{Kernel: 2}, nn.Flatten{}, nn.NewLinear(16*36, 10),
	}
	focal := func(outputs, targets *graph.Node) *graph.Node {
		logs := outputs.LogSoftmax(1)
		missing := logs.Exp().Neg().Shift(1) // 1 - p
		return missing.Pow(2).Mul(logs).Mul(targets).Sum(1).Mean().Neg()
	}
	run, err := train.Run(context.Background(), dev, train.Config{
		Own: train.Own{Module: net, Loss: focal}, Data: "garments", TrainSize: 2000, TestSize: 300,
		Init: "kaiming-normal", Batch: 32, LR: 0.1, Epochs: 3, Out: runs,
	}, train.Callbacks{})
	must(err)
	fmt.Println("most are right:", run.TestAccuracy > 0.6)
	// Output: most are right: true
}

// Label smoothing as a loss of one's own: a tenth of every label goes to all classes alike.
// For the cross-entropy Config.LabelSmoothing does the same.
func Example_labelSmoothing() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	runs, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(runs)
	smoothed := func(outputs, targets *graph.Node) *graph.Node {
		return targets.Scale(0.9).Shift(0.1 / 10).Mul(outputs.LogSoftmax(1)).Sum(1).Mean().Neg()
	}
	run, err := train.Run(context.Background(), dev, train.Config{
		Own: train.Own{Loss: smoothed}, Data: "garments", TrainSize: 2000, TestSize: 300, LR: 0.3, Epochs: 3, Out: runs,
	}, train.Callbacks{})
	must(err)
	fmt.Println("most are right:", run.TestAccuracy > 0.6)
	// Output: most are right: true
}

// worn gives every garment the labels that it has: worn on the feet, with sleeves, or neither.
type worn struct{ data.Dataset }

func (w worn) Info() data.Info {
	info := w.Dataset.Info()
	info.Targets = task.Targets{Task: task.Labels, Names: []string{"feet", "sleeves"}}
	return info
}

func (w worn) Target(i int, out []float32) error {
	class, err := w.Get(i, make([]uint8, w.Info().Numel()))
	labels := map[int][2]float32{0: {0, 1}, 2: {0, 1}, 3: {0, 1}, 4: {0, 1}, 6: {0, 1}, 5: {1, 0}, 7: {1, 0}, 9: {1, 0}}[class]
	copy(out, labels[:])
	return err
}

// Images that have several labels at once: a data.Targeted gives them, and the rest follows.
func Example_labels() {
	ctx := context.Background()
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	runs, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(runs)
	images, err := data.Open(ctx, "garments", data.Options{Size: 2000})
	must(err)
	tests, err := data.Open(ctx, "garments", data.Options{Size: 300, Split: data.Test})
	must(err)
	run, err := train.Run(ctx, dev, train.Config{
		Own: train.Own{TrainSet: worn{images}, TestSet: worn{tests}}, Model: "d2l-bnlenet", Batch: 32, LR: 0.3, Epochs: 3, Out: runs,
	}, train.Callbacks{})
	must(err)
	c, err := inference.Load(run.Best, dev, engine.Auto)
	must(err)
	r, err := c.Evaluate(ctx, worn{tests}, data.LoaderConfig{Batch: 100}, nil)
	must(err)
	fmt.Println(c.Info().Labels, "mean average precision above 0.9:", r.Labels.MeanAveragePrecision > 0.9)
	// Output: [feet sleeves] mean average precision above 0.9: true
}

// ink asks how much of an image is drawn on, in percent.
type ink struct{ data.Dataset }

func (s ink) Info() data.Info {
	info := s.Dataset.Info()
	info.Targets = task.Targets{Task: task.Values, Names: []string{"percent"}}
	return info
}

func (s ink) Target(i int, out []float32) error {
	pix := make([]uint8, s.Info().Numel())
	_, err := s.Get(i, pix)
	for _, v := range pix {
		out[0] += float32(v) / 255 * 100 / float32(len(pix))
	}
	return err
}

// Values are learnt by the Huber loss, standardised by the training, and answered in their units.
func Example_values() {
	ctx := context.Background()
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	runs, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(runs)
	images, err := data.Open(ctx, "garments", data.Options{Size: 2000})
	must(err)
	tests, err := data.Open(ctx, "garments", data.Options{Size: 300, Split: data.Test})
	must(err)
	run, err := train.Run(ctx, dev, train.Config{
		Own:   train.Own{TrainSet: ink{images}, TestSet: ink{tests}, Loss: nn.HuberLoss{}.Forward},
		Model: "d2l-bnlenet", Batch: 32, LR: 0.1, Epochs: 3, Out: runs,
	}, train.Callbacks{})
	must(err)
	c, err := inference.Load(run.Best, dev, engine.Auto)
	must(err)
	r, err := c.Evaluate(ctx, ink{tests}, data.LoaderConfig{Batch: 100}, nil)
	must(err)
	fmt.Println(c.Info().Values, "within two percent:", r.Values.MAE < 2)
	// Output: [percent] within two percent: true
}

// A small net learns from the outputs of a larger one, beside the labels.
func Example_distillation() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	runs, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(runs)
	config := train.Config{Data: "garments", TrainSize: 2000, TestSize: 300, Batch: 32, Resize: 28, Out: runs, Epochs: 3, LR: 0.3, Model: "d2l-bnlenet"}
	teacher, err := train.Run(context.Background(), dev, config, train.Callbacks{})
	must(err)
	config.Module = nn.Sequential{nn.NewConv2d(1, 8, 5, nn.Conv{Stride: 3}), nn.NewBatchNorm2d(8), nn.ReLU{}, nn.Flatten{}, nn.NewLinear(8*64, 10)}
	config.Init, config.LR, config.Teacher, config.TeacherTemperature, config.TeacherShare = "kaiming-normal", 0.1, teacher.Best, 3, 0.7
	student, err := train.Run(context.Background(), dev, config, train.Callbacks{})
	must(err)
	fmt.Println("most are right:", student.TestAccuracy > 0.6)
	// Output: most are right: true
}

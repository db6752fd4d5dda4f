// Command notes is the program of a student's notes on ResNet, which are written
// in PyTorch with the d2l package: the residual block, the stages built from it,
// the network, its table of shapes, the training and the plot. It shows how a
// program with its own modules uses this library.
//
//	go run ./examples/notes            # the recipe: Fashion-MNIST at 96x96
//	go run ./examples/notes -quick     # generated garments at 28x28, a minute
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/devices"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train"
)

// Residual is the block: R(x) = F2(F1(x)) + x.
type Residual struct {
	Conv1, Conv2, Conv3 *nn.Conv2d // Conv3 is nil for an identity shortcut
	BN1, BN2            *nn.BatchNorm2d
}

func NewResidual(in, out int, use1x1conv bool, stride int) *Residual {
	b := &Residual{
		Conv1: nn.NewConv2d(in, out, 3, nn.Conv{Padding: 1, Stride: stride}),
		Conv2: nn.NewConv2d(out, out, 3, nn.Conv{Padding: 1}),
		BN1:   nn.NewBatchNorm2d(out),
		BN2:   nn.NewBatchNorm2d(out),
	}
	if use1x1conv {
		b.Conv3 = nn.NewConv2d(in, out, 1, nn.Conv{Stride: stride})
	}
	return b
}

func (b *Residual) Forward(x *graph.Node) *graph.Node {
	y := nn.ReLU{}.Forward(b.BN1.Forward(b.Conv1.Forward(x)))
	y = b.BN2.Forward(b.Conv2.Forward(y))
	if b.Conv3 != nil {
		x = b.Conv3.Forward(x)
	}
	return nn.ReLU{}.Forward(y.Add(x))
}

// resnetBlock is a stage; the first stage of a network keeps its size and channels.
func resnetBlock(in, out, numResiduals int, first bool) (blocks nn.Sequential) {
	for i := range numResiduals {
		if i == 0 && !first {
			blocks = append(blocks, NewResidual(in, out, true, 2))
		} else {
			blocks = append(blocks, NewResidual(out, out, false, 1))
		}
	}
	return blocks
}

func resnet() nn.Sequential {
	b1 := nn.Sequential{
		nn.NewConv2d(1, 64, 7, nn.Conv{Stride: 2, Padding: 3}), nn.NewBatchNorm2d(64), nn.ReLU{},
		nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1},
	}
	b2 := resnetBlock(64, 64, 2, true)
	b3 := resnetBlock(64, 128, 2, false)
	b4 := resnetBlock(128, 256, 2, false)
	b5 := resnetBlock(256, 512, 2, false)
	return nn.Sequential{b1, b2, b3, b4, b5, nn.AdaptiveAvgPool2d{}, nn.Flatten{}, nn.NewLinear(512, 10)}
}

func main() {
	c := train.Config{Data: "fashion-mnist", Resize: 96, Batch: 256, LR: 0.05, Epochs: 10}
	plot := flag.String("plot", "notes.png", "where the curves go")
	quick := flag.Bool("quick", false, "small generated images instead of Fashion-MNIST")
	flag.Parse()
	if *quick {
		c.Data, c.Resize, c.Batch, c.Epochs = "garments", 28, 64, 2
	}
	if err := run(os.Stdout, c, *plot); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer, c train.Config, plot string) error {
	dev, _, err := devices.Open("auto", cpu.Options{}) // d2l.try_gpu()
	if err != nil {
		return err
	}
	defer dev.Close()

	x := tensor.New(4, 3, 6, 6)
	nn.NewSource(0, "x").Uniform(x, 1)
	for _, blk := range []*Residual{NewResidual(3, 3, false, 1), NewResidual(3, 6, true, 2)} {
		y, err := engine.Call(dev, graph.Train, blk.Forward, x)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, y.Shape()) // [4, 3, 6, 6], then [4, 6, 3, 3]
	}

	net := resnet()
	input := tensor.Shape{1, 1, 224, 224}
	for _, layer := range slices.Concat(net[0].(nn.Sequential), net[1:]) { // the stem layer by layer
		t, err := nn.Summary(layer, input)
		if err != nil {
			return err
		}
		input = t.Rows[0].Output
		fmt.Fprintf(w, "%s output shape:\t%v\n", nn.Class(layer), input)
	}

	c.Own = train.Own{Module: net}
	c.Init = nn.XavierUniform.String()
	curves := report.NewCurves(c.Epochs)
	total, err := train.Run(context.Background(), dev, c, train.Callbacks{ // d2l.train_ch6(...)
		OnPoint: func(p train.Point) {
			curves.Add(report.TrainLoss, p.X, p.Loss)
			curves.Add(report.TrainAcc, p.X, p.Accuracy)
			fmt.Fprintf(w, "epoch %.1f: loss %.3f, train acc %.3f\n", p.X, p.Loss, p.Accuracy)
		},
		OnEpoch: func(e train.Epoch) { curves.Add(report.TestAcc, float64(e.Epoch), e.TestAccuracy) },
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "loss %.3f, train acc %.3f, test acc %.3f\n", total.Loss, total.Accuracy, total.TestAccuracy)
	fmt.Fprintf(w, "%.1f images/s on %s, saved in %s\n", total.ImagesPerSecond, dev.Name(), total.Dir)

	file, err := os.Create(plot)
	if err != nil {
		return err
	}
	defer file.Close()
	return curves.WritePNG(file) // d2l.plt.show()
}

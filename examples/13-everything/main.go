// Command 13-everything puts the others together. A network with squeeze-and-excitation learns to
// estimate values from the images in a zip file. Its training is killed and resumed by hand, and
// the network is exported as an ONNX graph, which answers in the units of the values.
package main

import (
	"archive/zip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/loop"
)

const side, images, batch, epochs = 24, 1000, 32, 6

// zipped is a data set of the images in a zip file. The file list.csv in it has a row for each
// image, with its name and its values.
type zipped struct {
	file *zip.ReadCloser
	rows [][]string
}

func openZip(path string) *zipped {
	file := must(zip.OpenReader(path))
	list := must(file.Open("list.csv"))
	defer list.Close()
	return &zipped{file, must(csv.NewReader(list).ReadAll())}
}

func (z *zipped) Info() data.Info {
	t := task.Targets{Task: task.Values, Names: z.rows[0][1:]}
	return data.Info{Name: "zip", Channels: 1, Height: side, Width: side, Targets: t}
}

func (z *zipped) Len() int { return len(z.rows) - 1 }

func (z *zipped) Get(i int, pix []uint8) (label int, err error) {
	f, err := z.file.Open(z.rows[i+1][0])
	if err != nil {
		return 0, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err == nil {
		copy(pix, transforms.FromImage(img, 1).Pix)
	}
	return 0, err
}

func (z *zipped) Target(i int, out []float32) error {
	for k, text := range z.rows[i+1][1:] {
		v, err := strconv.ParseFloat(text, 32)
		if err != nil {
			return err
		}
		out[k] = float32(v)
	}
	return nil
}

// SE multiplies every channel of an image by a weight that depends on the means of all channels.
type SE struct{ Squeeze, Excite *nn.Conv2d }

func (m *SE) Forward(x *graph.Node) *graph.Node {
	return x.Mul(m.Excite.Forward(m.Squeeze.Forward(x.Mean(2, 3)).ReLU()).Sigmoid())
}

func newNet(values int) nn.Module {
	net := nn.Sequential{
		nn.NewConv2d(1, 16, 3, nn.Conv{Stride: 2, Padding: 1}), nn.NewBatchNorm2d(16), nn.ReLU{},
		&SE{nn.NewConv2d(16, 4, 1), nn.NewConv2d(4, 16, 1)},
		nn.NewResidual(16, 16, nn.Block{Use1x1Conv: true, Stride: 2}), nn.Flatten{}, nn.NewLinear(16*6*6, values),
	}
	nn.Init(net, 1, nn.KaimingNormal)
	return net
}

// train makes the given number of steps in all and returns the network. It starts from the state in
// a file if there is one, and saves the state after every epoch.
func train(dev *cpu.Device, ds data.Dataset, state string, steps int) nn.Module {
	loader := must(data.NewLoader(ds, data.LoaderConfig{Batch: batch, Shuffle: true, Seed: 1, DropLast: true}))
	shapes := loop.Shapes{Inputs: []int{batch, 1, side, side}, Targets: []int{batch, len(ds.Info().Targets.Names)}}
	net := newNet(shapes.Targets[1])
	s := must(loop.Compile(dev, net, nn.HuberLoss{}.Forward, shapes, loop.Options{Optimizer: optim.AdamW{}}))
	if file, err := os.Open(state); err == nil {
		check(errors.Join(s.Load(file), file.Close()))
		log.Printf("resumed after step %d", s.Steps())
	} else if !errors.Is(err, fs.ErrNotExist) {
		log.Fatal(err)
	}
	schedule := optim.Cosine{Base: 0.01}
	for s.Steps() < steps {
		var sum float64
		for b, err := range loader.Epoch(context.Background(), s.Steps()/loader.Batches()).All() {
			check(err)
			if s.Steps() == steps {
				return nil // within an epoch, so that its steps are lost
			}
			sum += must(s.Forward(b.Images, b.Targets))
			check(s.Backward())
			check(s.Step(schedule.LR(s.Steps()+1, epochs*loader.Batches())))
		}
		log.Printf("step %d: loss %.4f", s.Steps(), sum/float64(loader.Batches()))
		check(checkpoint.WriteFile(state, s.Save))
	}
	check(s.Pull()) // from the device into net
	return net
}

func main() {
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	dir := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(dir)
	check(writeZip(filepath.Join(dir, "discs.zip"), images))

	all := openZip(filepath.Join(dir, "discs.zip"))
	defer all.file.Close()
	mean, std, err := data.MeanStd(context.Background(), all)
	check(err)
	ds := data.Standardized(all, mean, std)
	state := filepath.Join(dir, "state.safetensors")
	train(dev, ds, state, 100) // as if killed within the fourth epoch
	net := train(dev, ds, state, epochs*(images/batch))

	info := checkpoint.Model{Input: prepare.Input{Channels: 1, Height: side, Width: side}}.Answering(ds.Info().Targets)
	must(exchange.Save(filepath.Join(dir, "discs.onnx"), net, info, exchange.ExportConfig{}))

	c := must(inference.Load(filepath.Join(dir, "discs.onnx"), dev, engine.Auto))
	img := transforms.NewImage(1, side, side)
	must(all.Get(0, img.Pix))
	truth := make([]float32, 3)
	check(all.Target(0, truth))
	for i, v := range must(c.Values(context.Background(), transforms.ToImage(img))) {
		log.Printf("%s is %.1f, estimated %.1f", v.Name, truth[i], v.Value)
		fmt.Println(v.Name, "within 2 pixels:", math.Abs(v.Value-float64(truth[i])) < 2)
	}
}

// writeZip writes a zip file of n images of a disc, and a list of their centres and radii.
func writeZip(path string, n int) error {
	file, r := must(os.Create(path)), rand.New(rand.NewPCG(1, 1))
	w := zip.NewWriter(file)
	rows := [][]string{{"image", "x", "y", "radius"}}
	for i := range n {
		name := fmt.Sprintf("%d.png", i)
		img := image.NewGray(image.Rect(0, 0, side, side))
		x, y, radius := 6+12*r.Float64(), 6+12*r.Float64(), 2+4*r.Float64()
		for k := range side * side {
			if math.Hypot(float64(k%side)-x, float64(k/side)-y) < radius {
				img.SetGray(k%side, k/side, color.Gray{Y: 255})
			}
		}
		rows = append(rows, []string{name, fmt.Sprint(x), fmt.Sprint(y), fmt.Sprint(radius)})
		check(png.Encode(must(w.Create(name)), img))
	}
	check(csv.NewWriter(must(w.Create("list.csv"))).WriteAll(rows))
	return errors.Join(w.Close(), file.Close())
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

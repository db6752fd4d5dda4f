package train_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train"
)

// A network on features of another one is trained, resumed from its file and exported like any
// other. What lies behind the cut is not among its parameters.
func TestTrainOnFeatures(t *testing.T) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	newNet := func() nn.Module {
		m, err := models.New("cifar-resnet8", models.Config{Channels: 1})
		if err != nil {
			t.Fatal(err)
		}
		f, err := nn.Cut(m, "layer2", tensor.Shape{1, 1, 28, 28})
		if err != nil {
			t.Fatal(err)
		}
		return nn.Sequential{f, nn.AdaptiveAvgPool2d{}, nn.Flatten{}, nn.NewLinear(32, 10)}
	}
	net := newNet()
	if ps := nn.Named(net); slices.ContainsFunc(ps, func(p nn.NamedParameter) bool {
		return strings.HasPrefix(p.Name, "0.layer3") || strings.HasPrefix(p.Name, "0.fc")
	}) || ps[0].Name != "0.conv1.weight" {
		t.Errorf("the parameters are %v", ps)
	}
	before := map[string][]float32{}
	for _, v := range nn.StateDict(net) {
		before[v.Name] = slices.Clone(v.Tensor.Data())
	}
	run, err := train.Run(context.Background(), dev, train.Config{
		Own:    train.Own{Module: net, TrainSet: garments(t, data.Train, 96), TestSet: garments(t, data.Test, 32)},
		Freeze: "0.conv1,0.bn1", LR: 0.1, Epochs: 1, Batch: 32, Out: t.TempDir(), Precision: "fp32",
	}, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := inference.LoadInto(newNet(), run.Last, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range nn.StateDict(c.Module()) {
		frozen := strings.HasPrefix(v.Name, "0.conv1.") || strings.HasPrefix(v.Name, "0.bn1.")
		if slices.Equal(v.Tensor.Data(), before[v.Name]) != frozen {
			t.Errorf("%s: kept although it is trained, or trained although it is frozen", v.Name)
		}
	}
	file := filepath.Join(t.TempDir(), "features.onnx")
	if _, err := exchange.Save(file, c.Module(), c.Info(), exchange.ExportConfig{}); err != nil {
		t.Fatal(err)
	}
	again, err := inference.Load(file, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	x := tensor.New(2, 1, 28, 28).Fill(0.5)
	a, errA := c.Logits(x)
	b, errB := again.Logits(x)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	for i, v := range a.Data() {
		if d := v - b.Data()[i]; d > 1e-4 || d < -1e-4 {
			t.Errorf("logit %d is %v, and %v in ONNX", i, v, b.Data()[i])
		}
	}
}

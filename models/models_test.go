package models

import (
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

func TestParameterCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		conf   Config
		params int64
	}{
		{"d2l-resnet18", Config{}, 11178378},
		{"d2l-resnet18", Config{Channels: 3, Classes: 100}, 11178378 + 2*64*49 + 90*513},
		{"d2l-resnet18", Config{Blocks: []int{3, 2, 1, 2}}, 11178378 + (2*(9*64*64+64) + 4*64) - (2*(9*256*256+256) + 4*256)},
		{"d2l-bnlenet", Config{}, 44878},
		{"d2l-bnlenet", Config{Classes: 2}, 44878 - 8*85},
	} {
		m, err := New(c.name, c.conf)
		if err != nil {
			t.Fatal(err)
		}
		if n := nn.Count(m); n != c.params {
			t.Errorf("%s %+v has %d parameters, want %d", c.name, c.conf, n, c.params)
		}
	}
}

// The error of an unknown name lists the nearest names, or all names if none is near.
func TestUnknownModel(t *testing.T) {
	for name, want := range map[string]string{
		"resnet19":       `model "resnet19" is not known; did you mean resnet18?`,
		"ResNet-50":      `model "ResNet-50" is not known; did you mean resnet50?`,
		"cifar-resnt20":  `model "cifar-resnt20" is not known; did you mean cifar-resnet20?`,
		"efficientformr": `model "efficientformr" is not known; choose one of ` + strings.Join(Names(), ", "),
	} {
		if _, err := New(name, Config{}); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := New("d2l-bnlenet", Config{Classes: -1}); err == nil {
		t.Error("a negative number of classes was accepted")
	}
}

func TestResNetNames(t *testing.T) {
	var names []string
	for _, p := range nn.Named(NewD2LResNet18(1, 10)) {
		names = append(names, p.Name)
	}
	for _, want := range []string{
		"b1.0.weight", "b1.0.bias", "b1.1.running_var", "b2.0.conv1.weight", "b2.1.bn2.running_mean",
		"b3.0.conv3.bias", "b5.1.conv2.weight", "fc.weight", "fc.bias",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no parameter %s", want)
		}
	}
	if slices.Contains(names, "b2.0.conv3.weight") || len(names) != 110 {
		t.Errorf("%d names, want 110 and no 1x1 convolution in b2: %v", len(names), names)
	}
}

// The shapes that "Dive into Deep Learning" prints for an image of 224x224.
func TestResNetShapes(t *testing.T) {
	s, err := nn.Summary(NewD2LResNet18(1, 10), tensor.Shape{1, 1, 224, 224})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Conv2d [1, 64, 112, 112]", "MaxPool2d [1, 64, 56, 56]",
		"Sequential [1, 64, 56, 56]", "Sequential [1, 128, 28, 28]", "Sequential [1, 256, 14, 14]", "Sequential [1, 512, 7, 7]",
		"AdaptiveAvgPool2d [1, 512, 1, 1]", "Flatten [1, 512]", "Linear [1, 10]",
	}
	i := 0
	for _, r := range s.Rows {
		if i < len(want) && r.Class+" "+r.Output.String() == want[i] {
			i++
		}
	}
	if i < len(want) {
		t.Errorf("line %q does not come in its order in\n%v", want[i], s)
	}
	if s.Params != 11178378 || s.Buffers != 2*(5*64+4*128+4*256+4*512) {
		t.Errorf("%d parameters and %d buffers", s.Params, s.Buffers)
	}
}

// The names of ImageNet's classes are distinct and in the order of ILSVRC 2012.
func TestImageNetClasses(t *testing.T) {
	names := ImageNetClasses()
	seen := map[string]bool{}
	for _, name := range names {
		seen[name] = true
	}
	for i, want := range map[int]string{0: "tench", 207: "golden retriever", 517: "crane", 999: "toilet tissue"} {
		if len(names) != 1000 || names[i] != want {
			t.Errorf("%d classes, of which %d is %q, not %q", len(names), i, names[i], want)
		}
	}
	if len(seen) != 1000 || seen[""] {
		t.Errorf("%d names", len(seen))
	}
}

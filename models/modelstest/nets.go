package modelstest

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Nets describes networks in PyTorch: torchvision's, those of testdata/residual_nets.py,
// testdata/resnet9.py, testdata/whitened.py or, in part, pytorchcv's. The script testdata/torchvision_nets.py documents the values.
type Nets struct {
	Torch       string `json:"torch"` // versions
	Torchvision string `json:"torchvision"`
	Seed        uint64 `json:"seed"`
	Size        int    `json:"size"`  // of the images, both sides
	Batch       int    `json:"batch"` // of the logits
	Models      []Net  `json:"models"`
}

// Net is one network in PyTorch.
type Net struct {
	Name    string `json:"name"`
	Params  int64  `json:"params"`
	Entries int    `json:"entries"` // parameters and buffers
	Names   string `json:"names"`   // SHA-256 of names and shapes
	MACs    int64  `json:"macs"`    // for one image of 224x224
	Layers  string `json:"layers"`  // SHA-256 of layers, outputs, parameters and multiply-adds

	Logits  SampledTensor `json:"logits"`  // [Batch, classes], in evaluation mode, in float64
	Float32 float64       `json:"float32"` // error of PyTorch's float32 logits, relative to the largest

	Step *TrainingStep `json:"step"` // a training step; nil for most networks
}

// TrainingStep is a training step in float64.
type TrainingStep struct {
	Images    string                   `json:"images"` // name of the images' random generator
	Batch     int                      `json:"batch"`
	Shift     float32                  `json:"shift"` // added to every bias
	Loss      float64                  `json:"loss"`
	Float32   float64                  `json:"float32"` // error of PyTorch's float32 gradients
	Gradients map[string]SampledTensor `json:"gradients"`
}

// SampledTensor is a tensor of which the fixture contains only a few facts and elements.
type SampledTensor struct {
	Places []int `json:"places"` // indices of the elements in Facts.At
	Facts
}

// ReadNets reads testdata/torchvision_nets.json or another file of that format.
func ReadNets(path string) (*Nets, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	n := new(Nets)
	if err := json.Unmarshal(text, n); err != nil {
		return nil, fmt.Errorf("%s: %w; make it again by testdata/torchvision_nets.py", path, err)
	}
	return n, nil
}

// Build makes a network with the weights of the script's formula.
func (n *Nets) Build(name string) (nn.Module, error) {
	m, err := models.New(name, models.Config{})
	if err != nil {
		return nil, err
	}
	for _, p := range nn.Named(m) {
		copy(p.Value.Data(), value(n.Seed, p.Name, p.Value.Shape()).Data())
	}
	return m, nil
}

// Begin changes the weights of the formula to those with which the step begins.
func (s *TrainingStep) Begin(m nn.Module) {
	for _, p := range nn.Named(m) {
		if strings.HasSuffix(p.Name, ".bias") {
			for i := range p.Value.Data() {
				p.Value.Data()[i] += s.Shift
			}
		}
	}
}

// Images returns a batch from the random generator of that name.
func (n *Nets) Images(stream string, batch int) *tensor.Tensor {
	x, source := tensor.New(batch, 3, n.Size, n.Size), nn.NewSource(n.Seed, stream)
	for i := range x.Data() {
		x.Data()[i] = float32(source.Float64())
	}
	return x
}

// Labels returns the labels of a batch.
func (n *Nets) Labels(batch, classes int) *tensor.Tensor {
	labels, source := make([]int64, batch), nn.NewSource(n.Seed, "labels")
	for i := range labels {
		labels[i] = int64(source.Uint64() % uint64(classes))
	}
	return tensor.FromInts(labels, batch)
}

// Largest returns the largest magnitude in all gradients of the step.
func (s *TrainingStep) Largest() (most float64) {
	for _, h := range s.Gradients {
		most = math.Max(most, h.Max)
	}
	return most
}

// Compare returns the distance of a tensor from the facts in h, as defined by Distance. largest
// is the largest magnitude of all tensors of the same kind.
func (h SampledTensor) Compare(got []float32, largest float64) (float64, error) {
	f := Facts{}
	for _, v := range got {
		f.L2 += float64(v) * float64(v)
	}
	f.L2 = math.Sqrt(f.L2)
	for _, p := range h.Places {
		if p >= len(got) {
			return 0, fmt.Errorf("%d elements and no element %d", len(got), p)
		}
		f.At = append(f.At, float64(got[p]))
	}
	return distance(h.Facts, f, len(got), largest), nil
}

package inference_test

import (
	"image"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// counted is a device that counts what is allocated on it.
type counted struct {
	engine.Device
	elements atomic.Int64
}

func (d *counted) Alloc(n int) engine.Buffer {
	d.elements.Add(int64(n))
	return d.Device.Alloc(n)
}

// Classifiers of equal networks share one memory and keep names of their own; networks with one
// other weight, or other operations, are told apart.
func TestSharing(t *testing.T) {
	about := checkpoint.Model{Architecture: "cifar-resnet8", Classes: []string{"a", "b"}, Input: prepare.Input{Channels: 3, Height: 24, Width: 24}}
	dev := &counted{Device: device(t)}
	open := func(seed uint64, m checkpoint.Model) *inference.Classifier {
		t.Helper()
		net, err := models.New(m.Architecture, models.Config{Channels: 3, Classes: 2})
		if err != nil {
			t.Fatal(err)
		}
		nn.Init(net, 1, nn.KaimingNormal)
		state := nn.StateDict(net)
		last := state[len(state)-1].Tensor.Data()
		last[len(last)-1] += float32(seed)
		path := filepath.Join(t.TempDir(), "net.safetensors")
		if err := checkpoint.SaveModel(path, m, state); err != nil {
			t.Fatal(err)
		}
		c, err := inference.Load(path, dev, engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := open(0, about)
	named := about
	named.Classes = []string{"c", "d"}
	second, other := open(0, named), open(1, about)
	if !first.SameNetwork(second) || !second.SameNetwork(first) || first.SameNetwork(other) {
		t.Errorf("the same network: %v and %v, and with another weight %v", first.SameNetwork(second), second.SameNetwork(first), first.SameNetwork(other))
	}
	x := image.NewRGBA(image.Rect(0, 0, 30, 24))
	predict := func(c *inference.Classifier) []inference.Prediction {
		t.Helper()
		p, err := c.Predict(t.Context(), x, 0)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	want := predict(first)
	shared := second.Sharing(first)
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	before := dev.elements.Load()
	got := predict(shared)
	if more := dev.elements.Load() - before; more != 0 {
		t.Errorf("a classifier that shares memory allocated %d elements", more)
	}
	if got[0].Probability != want[0].Probability || !slices.Contains(named.Classes, got[0].Class) {
		t.Errorf("shared: %v, want the probabilities of %v for %v", got, want, named.Classes)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := shared.Predict(t.Context(), x, 0); err == nil {
		t.Error("it computes after the other was closed")
	}
}

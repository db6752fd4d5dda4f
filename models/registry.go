// Package models contains Residual's networks: ResNet, ResNeXt, Wide ResNet and pre-activation
// ResNet for ImageNet, the ResNets for CIFAR-10, a ResNet-9, a whitened ResNet, and the networks of "Dive into Deep Learning".
//
// New makes a network by its name:
//
//	m, err := models.New("resnet18", models.Config{Classes: 10})
//
// The important types are:
//
//   - Config, which adapts a network to data: channels, classes, blocks per stage;
//   - Entry, the description of a network: its input, its number of parameters, and how images
//     are prepared for it. Lookup returns it by name, and Names lists all names;
//   - Net, Stage and Block, through which studies look into a residual network and change it;
//   - Match, a network that Identify finds for the parameters of a file.
//
// Parameters have the names of torchvision where it has the same network.
package models

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/internal/nearest"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Title returns the Title of the entry of that name, or the name if there is no such entry.
func Title(name string, blocks []int) string {
	e, err := Lookup(name)
	if err != nil {
		return name
	}
	return e.Title(blocks)
}

// entries lists the models in the order of Names.
var entries = slices.Concat([]Entry{d2lResNet18, d2lBNLeNet}, resNets, preResNets, cifarNets(), resNets9(), []Entry{whitenedResNet8})

// Names lists the names of the models. CIFAR networks of any other depth 6n+2 have names, too, and so have
// the variants of WithStem.
func Names() []string {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	return names
}

// Lookup returns the model of that name, or an error that lists the names.
func Lookup(name string) (Entry, error) {
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name })
	var e Entry
	if i >= 0 {
		e = entries[i]
	} else if base, stem, ok := stemmed(name); ok {
		if base, err := Lookup(base); err == nil {
			return base.WithStem(stem)
		}
		return Lookup(base)
	} else {
		other, ok, err := cifarNet(name)
		if err != nil {
			return Entry{}, err
		}
		if !ok {
			if question := nearest.Question(name, Names(), "%s"); question != "" {
				return Entry{}, fmt.Errorf("model %q is not known; %s", name, question)
			}
			return Entry{}, fmt.Errorf("model %q is not known; choose one of %s", name, strings.Join(Names(), ", "))
		}
		e = other
	}
	given := e
	e.Blocks, e.Stages = slices.Clone(e.Blocks), slices.Clone(e.Stages)
	e.Preprocess.Mean, e.Preprocess.Std = slices.Clone(e.Preprocess.Mean), slices.Clone(e.Preprocess.Std)
	e.New = func(c Config) nn.Module {
		if err := given.Check(c); err != nil {
			panic(tensor.Misusef("%w", err))
		}
		return given.New(given.fill(c))
	}
	return e, nil
}

// New makes a model by name, with PyTorch's default weights (see package nn).
func New(name string, c Config) (nn.Module, error) {
	e, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	if err := e.Check(c); err != nil {
		return nil, err
	}
	return e.New(c), nil
}

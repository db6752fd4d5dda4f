// Package models holds the networks that Residual knows by name.
package models

import (
	"fmt"
	"strings"

	"github.com/residual-ml/residual/nn"
)

// Config adapts a model to data. Zero values are the model's own.
type Config struct {
	Channels int // of the input images
	Classes  int
}

// Entry describes a model.
type Entry struct {
	Name        string
	Description string
	Channels    int // defaults, and the input the model was made for
	Height      int
	Width       int
	Classes     int
	FixedSize   bool // takes no other height and width
	Source      string
	New         func(Config) nn.Module // zero values in Config are filled in
}

// entries is in the order in which models are listed.
var entries = [...]Entry{d2lResNet18, d2lBNLeNet}

// Names lists the models.
func Names() []string {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	return names
}

// Lookup returns the model of that name, or an error that lists the names.
func Lookup(name string) (Entry, error) {
	for _, e := range entries {
		if e.Name == name {
			build := e.New
			e.New = func(c Config) nn.Module { return build(e.fill(c)) }
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("model %q is not known; choose one of %s", name, strings.Join(Names(), ", "))
}

// New makes a model by name, with PyTorch's default weights (see package nn).
func New(name string, c Config) (nn.Module, error) {
	e, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	if c.Channels < 0 || c.Classes < 0 {
		return nil, fmt.Errorf("model %s: %d channels and %d classes: neither can be negative; 0 means the model's own", name, c.Channels, c.Classes)
	}
	return e.New(c), nil
}

func (e Entry) fill(c Config) Config {
	if c.Channels == 0 {
		c.Channels = e.Channels
	}
	if c.Classes == 0 {
		c.Classes = e.Classes
	}
	return c
}

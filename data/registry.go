package data

import (
	"context"
	"fmt"
	"strings"

	"github.com/residual-ml/residual/internal/nearest"
)

// registered is a built-in data set.
type registered interface {
	info() SourceInfo
	open(context.Context, Options) (Dataset, error)
	fetch(context.Context, Options) (string, error)
	check(context.Context, Options) (*Report, error)
}

func sources() []registered {
	return []registered{fashionMNIST(), garmentSource{}, mnist(), cifar10(), cifar100()}
}

// Names lists the built-in data sets.
func Names() []SourceInfo {
	var out []SourceInfo
	for _, s := range sources() {
		out = append(out, s.info())
	}
	return out
}

// Open returns a split of a built-in data set by name: "fashion-mnist", "garments", "mnist",
// "cifar10" or "cifar100". Its files must have the published digests.
func Open(ctx context.Context, name string, o Options) (Dataset, error) {
	s, err := lookup(name, &o)
	if err != nil {
		return nil, err
	}
	return s.open(ctx, o)
}

// Fetch downloads the missing and damaged files of a data set and returns their folder:
// Options.Dir, else RESIDUAL_DATA, else the user cache folder, or a subfolder of it with the
// name of the data set. It returns "" for a data set that needs no files.
func Fetch(ctx context.Context, name string, o Options) (string, error) {
	s, err := lookup(name, &o)
	if err != nil {
		return "", err
	}
	return s.fetch(ctx, o)
}

// Check reads and verifies both splits of a data set and downloads nothing. The Report lists
// the problems of files; the error is not nil when the check could not be completed.
func Check(ctx context.Context, name string, o Options) (*Report, error) {
	s, err := lookup(name, &o)
	if err != nil {
		return nil, err
	}
	return s.check(ctx, o)
}

func lookup(name string, o *Options) (registered, error) {
	switch o.Split {
	case "":
		o.Split = Train
	case Train, Test:
	default:
		return nil, fmt.Errorf("data set %s: unknown split %q; use %q or %q", name, o.Split, Train, Test)
	}
	var names []string
	for _, s := range sources() {
		n := s.info().Name
		if n == name {
			return s, nil
		}
		names = append(names, n)
	}
	return nil, fmt.Errorf("unknown data set %q; %schoose one of: %s", name, nearest.Aside(name, names, "%s"), strings.Join(names, ", "))
}

package exchange

import (
	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/weights"
)

// opened opens the file at path for a function of this package, as package modelfile does.
func opened[T any](path string, do func(f *weights.File) (T, error)) (got T, err error) {
	f, err := weights.Open(path)
	if err != nil {
		return got, err
	}
	defer f.Close()
	return do(f)
}

// fromPath is what FromWeights and FromFile return.
type fromPath struct {
	module nn.Module
	info   checkpoint.Model
	notes  []string
}

func FromWeightsAt(path string, c ModelConfig) (nn.Module, checkpoint.Model, []string, error) {
	got, err := opened(path, func(f *weights.File) (p fromPath, err error) {
		p.module, p.info, p.notes, err = FromWeights(f, c)
		return p, err
	})
	return got.module, got.info, got.notes, err
}

func FromFileAt(path string, c ModelConfig) (nn.Module, checkpoint.Model, []string, error) {
	got, err := opened(path, func(f *weights.File) (p fromPath, err error) {
		p.module, p.info, p.notes, err = FromFile(f, c)
		return p, err
	})
	return got.module, got.info, got.notes, err
}

func IdentifyAt(path string) ([]models.Match, error) { return opened(path, Identify) }
func ReadWeightsAt(path string) (*Weights, error)    { return opened(path, ReadWeights) }
func FromGraphAt(path string) (*Network, error)      { return opened(path, FromGraph) }

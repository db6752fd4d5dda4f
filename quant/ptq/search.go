package ptq

import (
	"context"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/task"
)

// search is a quantisation under way.
type search struct {
	ctx       context.Context
	c         *inference.Classifier
	images    *Images
	config    Config
	precision engine.Precision

	observed, held sample // of the images: those that are observed, and those on which errors are measured
	layers         []layer
	values         []value
	result         Result
}

// layer is a convolution or linear layer of the net.
type layer struct {
	candidate quant.Candidate
	can       bool   // it can be quantised
	why       string // it is not quantised
	err       float64
}

// value is an activation with what was observed of it.
type value struct {
	quant.Value
	low, high float32
	histogram *quant.Histogram
}

// measurable reports whether an accuracy can be measured.
func (s *search) measurable() bool {
	return s.images.Test != nil && s.c.Info().Task.Named() == task.Classes
}
